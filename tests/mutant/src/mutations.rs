//! The table of mutants: each mistake this server can make, and the case that must catch it.
//!
//! The server reads the table to find a mistake by name; `tests/mutants.rs` includes this file
//! to check that every mistake is caught. For each new case of the suite, a row is added here:
//! a mistake that the case must catch.

/// One mutant: a mistake, and the case that catches it.
#[derive(Debug)]
pub(crate) struct Mutant {
    /// The mistake as a value of the enum, which the server's code passes to `wrong(…)`.
    #[allow(dead_code, reason = "the test that shares this file knows mutants by name")]
    pub(crate) id: Mutation,
    /// The mutant's name on the command line: `--mutation NAME`.
    pub(crate) name: &'static str,
    /// The case that must fail, as `family::name`.
    pub(crate) caught_by: &'static str,
    /// The description of the mistake, which completes the phrase "a server that …".
    pub(crate) wrong: &'static str,
}

/// Generates the enum and the table from one list, so that neither lacks an entry of the other.
macro_rules! mutations {
    ($($id:ident $name:literal $caught_by:literal, $wrong:literal;)*) => {
        /// A mistake that the server can make.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(dead_code, reason = "the test that shares this file knows mutants by name")]
        pub(crate) enum Mutation { $(#[doc = $wrong] $id,)* }

        /// The table of all mutants, one for each [`Mutation`].
        pub(crate) const MUTATIONS: &[Mutant] = &[$(Mutant {
            id: Mutation::$id,
            name: $name,
            caught_by: $caught_by,
            wrong: $wrong,
        },)*];
    };
}

mutations! {
    // Mistakes about clients and the machine's resources.
    Sequential "sequential" "many::second_client", "accepts the next client only after the first has gone";
    LeaksDescriptor "leaks-descriptor" "resources::descriptors", "leaks one descriptor per connection";
    LeaksMemory "leaks-memory" "resources::memory_over_time", "leaks 64 KiB per connection";
    LeaksThread "leaks-thread" "resources::threads_and_processes", "leaks one thread per connection";
    OpenNeverFalls "open-never-falls" "routes::stats_open", "never decrements the count of open connections";
    TimeoutsUncounted "timeouts-uncounted" "deadlines::idle_is_counted", "does not count connections that a deadline closed";
    PanicEndsServer "panic-ends-server" "hostile::panic_costs_one_connection", "exits when the application panics";
    PanicUnanswered "panic-unanswered" "hostile::panic_costs_one_connection", "closes without a 500 when the application panics";
    DiesAtReset "dies-at-reset" "hostile::reset_in_a_long_answer", "exits when a client resets its connection";
    PrintsErrors "prints-errors" "hostile::reset_in_a_long_answer", "prints an error when a client resets its connection";
    PrintsToStandardOutput "prints-to-standard-output" "lifecycle::says_one_line", "prints a line on standard output for every client";
    ExitsWithoutDescriptors "exits-without-descriptors" "resources::out_of_descriptors", "exits when it runs out of descriptors";
    SpinsWithoutDescriptors "spins-without-descriptors" "resources::out_of_descriptors_is_no_work", "retries accept in a busy loop when it runs out of descriptors";
    DeafAfterNoDescriptors "deaf-after-no-descriptors" "resources::out_of_descriptors", "never accepts again after it has run out of descriptors";
    MissingWithoutDescriptor "missing-without-descriptor" "resources::out_of_descriptors_for_a_file", "answers 404 for a file when it runs out of descriptors";
    DeafAfterPollFails "deaf-after-poll-fails" "resources::fewer_descriptors_allowed", "never reads from a connection again when it could not wait for its input";
    SpinsWhenPollFails "spins-when-poll-fails" "resources::fewer_descriptors_allowed", "retries in a busy loop when it cannot wait for clients";
    KeepsTheTurn "keeps-the-turn" "resources::one_process_out_of_descriptors", "has its processes accept by turns, and a process that has no descriptor left keeps its turn";
    ExitsWithoutThread "exits-without-thread" "resources::out_of_processes", "exits when it cannot create a thread";
    BusyWhileIdle "busy-while-idle" "resources::at_rest_is_no_work", "polls each idle client in a busy loop";
    IgnoresConnectionLimit "ignores-connection-limit" "limits::connections_over_limit", "accepts more clients than --max-connections";
    LimitWithoutAnswer "limit-without-answer" "limits::connections_over_limit", "closes without a 503 beyond --max-connections";
    LimitCountsAll "limit-counts-all" "limits::connections_free_again", "counts closed connections against --max-connections";
    IgnoresMaxBuffered "ignores-max-buffered" "limits::buffered_over_limit", "buffers more than --max-buffered";
    PromisesKept "promises-kept" "resources::promises_are_given_back", "reserves memory for input that may follow a content, and does not release it when none follows";
    ReservesAnnounced "reserves-announced" "resources::memory_of_promises", "allocates a whole content as soon as a client announces its length";
    WholeAnswerInMemory "whole-answer-in-memory" "resources::memory_of_clients_that_never_read", "builds all of /bytes/N in memory before it sends any of it";
    WholeFileInMemory "whole-file-in-memory" "resources::memory_of_files", "reads a whole file into memory before it sends any of it";
    NoRetryAfter "no-retry-after" "limits::connections_over_limit", "answers 503 without Retry-After";

    // Mistakes about startup and shutdown.
    AnnouncesTooEarly "announces-too-early" "resources::start_with_few_descriptors", "says that it listens before it has the descriptors that it needs";
    AnnouncesWithoutMemory "announces-without-memory" "resources::start_with_little_memory", "says that it listens before it has the memory that it needs";
    WaitsForTheLog "waits-for-the-log" "hostile::panics_with_standard_error_full", "waits until what it prints about a panic is read";
    FailsWithSuccess "fails-with-success" "lifecycle::port_in_use", "exits with status 0 when it cannot start";
    NoReuseAddress "no-reuse-address" "lifecycle::starts_again_at_once", "cannot start while old connections are in TIME_WAIT";
    DiesOfSigterm "dies-of-sigterm" "shutdown::at_rest", "does not catch SIGTERM";
    DiesOfSigint "dies-of-sigint" "shutdown::interrupt", "catches SIGTERM but not SIGINT";
    IgnoresStopWhileIdle "ignores-stop-while-idle" "shutdown::idle_client", "waits for idle clients at SIGTERM";
    DropsInFlight "drops-in-flight" "shutdown::while_it_sleeps", "exits at SIGTERM in the middle of a response";
    DrainDropsHalfRequest "drain-drops-half-request" "shutdown::in_a_head", "closes at SIGTERM a connection whose request is half received";
    DrainUnannounced "drain-unannounced" "shutdown::in_a_head", "keeps connections alive after SIGTERM, and announces keep-alive";
    ListensWhileDraining "listens-while-draining" "shutdown::stops_accepting", "leaves the listening socket open after SIGTERM, but accepts no connection";
    IgnoresDrainDeadline "ignores-drain-deadline" "shutdown::drain_deadline_sleeping", "waits forever for the last client after SIGTERM";
    BadExitStatus "bad-exit-status" "shutdown::at_rest", "exits with status 1 after SIGTERM";

    // Mistakes about fixed sets of workers: thread pools and preforked processes.
    DeadlineKeepsWorker "deadline-keeps-worker" "workers::idle_deadline_gives_back", "closes a client at its deadline, but leaves the worker blocked";
    GrowsWhenBusy "grows-when-busy" "workers::head_deadline_gives_back", "spawns another thread when its whole pool is busy";
    DropsWhenFull "drops-when-full" "workers::a_hundred_take_turns", "closes a client that does not fit into its queue";
    LastComeFirst "last-come-first" "workers::first_come_first_served", "takes clients from the wrong end of its queue";
    UnboundedQueue "unbounded-queue" "workers::queue_is_bounded", "accepts every client, however many already wait for a worker";
    FullWithoutAnswer "full-without-answer" "workers::refuses_when_full", "closes without a 503 when its queue is full";
    FreeWorkersDoNotCount "free-workers-do-not-count" "workers::refuses_without_a_queue", "refuses a client when its queue is full, though a worker is idle";
    PanicCostsWorker "panic-costs-worker" "workers::panics_cost_no_worker", "loses a worker at each panic of the application";
    FreeWorkersStay "free-workers-stay" "workers::free_workers_stop", "does not wake idle workers at SIGTERM, and waits for them";
    ForgetsQueueAtStop "forgets-queue-at-stop" "workers::queued_clients_are_served_at_shutdown", "drops the clients in its queue at SIGTERM";
    NeverReplaces "never-replaces" "workers::killed_worker_is_replaced", "does not replace a worker process that has died";
    WorkerEndsServer "worker-ends-server" "workers::stopped_worker_is_replaced", "exits when one of its worker processes exits";
    RushesToReplace "rushes-to-replace" "workers::no_rush_to_replace", "replaces worker processes without a pause, however fast they die";
    WorkersOutliveParent "workers-outlive-parent" "workers::workers_die_with_their_parent", "leaves its worker processes running when it is killed";

    // Mistakes about the request line.
    LaxRequestLine "lax-request-line" "request_line::two_spaces", "splits the request line at any amount of white space";
    AnyCaseMethod "any-case-method" "request_line::lower_case_method", "accepts get as GET";
    AnyVersion "any-version" "request_line::version_2", "answers HTTP/2.0 and HTTP/1.2 as if they were HTTP/1.1";
    NoAbsoluteForm "no-absolute-form" "request_line::absolute_form", "does not accept the absolute form GET http://host/path";
    EmptyLineRefused "empty-line-refused" "request_line::empty_line_before", "refuses an empty line before a request";
    QueryInPath "query-in-path" "request_line::query_is_ignored", "treats the query as part of the path";
    UnboundedLine "unbounded-line" "limits::line_over_limit", "does not enforce --max-line";
    LineOffByOne "line-off-by-one" "limits::line_at_limit", "refuses a request line of exactly --max-line";
    SignedNumber "signed-number" "routes::sleep_with_sign", "accepts /bytes/+5 as /bytes/5";
    ClampsNumber "clamps-number" "routes::bytes_too_many", "clamps a number that is too large to the maximum";
    SleepsNot "sleeps-not" "many::sleepers_together", "answers /sleep/MS without sleeping";

    // Mistakes about header fields.
    CaseSensitiveNames "case-sensitive-names" "headers::names_ignore_case", "compares field names case-sensitively: content-length is not Content-Length";
    SpaceBeforeColon "space-before-colon" "headers::space_before_colon", "accepts a space before the colon";
    FoldedLine "folded-line" "headers::folded_line", "joins a folded line to the line before it";
    BareLf "bare-lf" "headers::lf_alone", "accepts a line that ends with LF alone";
    ControlInValue "control-in-value" "headers::bare_cr_in_value", "accepts NUL and a lone CR in a value";
    NoHost "no-host" "headers::no_host", "accepts HTTP/1.1 without Host";
    TwoHosts "two-hosts" "headers::two_hosts", "accepts two Hosts";
    AnyHost "any-host" "headers::host_with_space", "accepts a Host that is not a valid host";
    AnyAddress "any-address" "headers::host_ipv6_nonsense", "accepts any hex digits in brackets as an IPv6 address";
    FutureAddressRefused "future-address-refused" "headers::host_ip_future", "refuses an IPvFuture address";
    HostPercentUnchecked "host-percent-unchecked" "headers::host_bad_percent", "does not check the percent signs in a Host";
    UrlHostUnchecked "url-host-unchecked" "request_line::absolute_form_bad_host", "checks Host, but not the host of a URL";
    ConnectionWhole "connection-whole" "connection::close_in_a_list", "compares the whole Connection field instead of its list elements";
    UnboundedHead "unbounded-head" "limits::head_without_end", "does not enforce --max-head";
    HeadOffByOne "head-off-by-one" "limits::head_at_limit", "refuses a head of exactly --max-head";
    UnboundedFields "unbounded-fields" "limits::fields_over_limit", "does not enforce --max-fields";
    FieldsOffByOne "fields-off-by-one" "limits::fields_at_limit", "refuses exactly --max-fields fields";
    AnyExpectation "any-expectation" "expect::unknown", "ignores an unknown expectation";
    CaseSensitiveExpect "case-sensitive-expect" "expect::ignores_case", "refuses Expect: 100-Continue because of its capital letter";

    // Mistakes about framing and content.
    FirstContentLength "first-content-length" "framing::two_lengths", "uses the first of two Content-Length fields";
    SignedContentLength "signed-content-length" "framing::length_plus", "accepts Content-Length: +5 as 5";
    TransferEncodingAndLength "transfer-encoding-and-length" "framing::length_and_chunked", "ignores Content-Length when Transfer-Encoding is present";
    TransferEncodingInHttp10 "transfer-encoding-in-http10" "framing::chunked_in_http_1_0", "accepts Transfer-Encoding in HTTP/1.0";
    ChunkedBySubstring "chunked-by-substring" "framing::nearly_chunked", "accepts any coding whose name contains chunked as chunked";
    ChunkedNotLast "chunked-not-last" "framing::chunked_is_not_last", "accepts chunked before another coding";
    UnknownCoding "unknown-coding" "framing::unknown_coding", "ignores the coding in gzip, chunked";
    CaseSensitiveCoding "case-sensitive-coding" "framing::chunked_ignores_case", "refuses Transfer-Encoding: Chunked because of its capital letter";
    ChunkSizeOverflow "chunk-size-overflow" "chunks::size_overflow", "lets a chunk size overflow";
    PrefixedChunkSize "prefixed-chunk-size" "chunks::size_0x", "accepts +5 and 0x5 as a chunk size";
    LowercaseHexOnly "lowercase-hex-only" "chunks::hex_of_either_case", "refuses uppercase hex digits in a chunk size";
    ChunkEndUnchecked "chunk-end-unchecked" "chunks::data_end_is_checked", "skips two bytes after a chunk without checking that they are CR LF";
    ExtensionRefused "extension-refused" "chunks::extension", "refuses chunk extensions";
    AnyExtension "any-extension" "chunks::extension_malformed", "accepts any bytes after a chunk size as an extension";
    QuoteUnescaped "quote-unescaped" "chunks::extension_forms", "does not recognize \\\" in a chunk extension";
    UnboundedExtensions "unbounded-extensions" "limits::extension_without_end", "reads chunk extensions without a limit";
    TrailersAsRequest "trailers-as-request" "chunks::trailers", "parses trailers as the next request";
    UnboundedTrailers "unbounded-trailers" "limits::trailers_over_limit", "reads trailers without a limit";
    GetContentIgnored "get-content-ignored" "framing::get_with_content", "parses the content of a GET as the next request";
    RefusedContentAsRequest "refused-content-as-request" "framing::refused_method_with_content", "parses the content of a refused method as the next request";
    TruncatedContent "truncated-content" "framing::end_in_content", "answers a request whose content was cut short";
    EchoAsText "echo-as-text" "bodies::every_byte_value", "decodes every content as UTF-8";
    UnboundedContent "unbounded-content" "limits::content_over_limit", "does not enforce --max-body";
    BodyOffByOne "body-off-by-one" "bodies::one_mebibyte", "refuses a content of exactly --max-body";
    LateTooLarge "late-too-large" "limits::content_over_limit", "reads a whole content before it checks whether it is too large";
    NeverContinue "never-continue" "expect::asks_first", "never sends 100 Continue";
    ContinueToHttp10 "continue-to-http10" "expect::http_1_0", "sends 100 Continue to an HTTP/1.0 client";
    ContinueBeforeRefusal "continue-before-refusal" "expect::too_large", "sends 100 Continue for a content that it then refuses";

    // Mistakes in reading input that arrives in pieces.
    HeadInOneRead "head-in-one-read" "partial::head_cut_everywhere", "expects a head to arrive in one read";
    SplitLineEnd "split-line-end" "partial::head_cut_everywhere", "does not recognize CR LF when CR and LF arrive in two reads";
    ContentInOneRead "content-in-one-read" "partial::content_cut_everywhere", "expects a content to arrive in one read";

    // Mistakes about pipelining and keep-alive.
    ForgetsSecond "forgets-second" "pipelining::two", "drops the second of two pipelined requests";
    DropsAfterContent "drops-after-content" "pipelining::mixed_methods", "drops the pipelined bytes that follow a content";
    OutOfOrder "out-of-order" "pipelining::order_with_a_slow_one", "answers later pipelined requests while an earlier one sleeps";
    HoldsBackAnswers "holds-back-answers" "pipelining::half_a_request_behind", "holds a response back while half of the next request is buffered";
    HoldsBackWhileSleeping "holds-back-while-sleeping" "pipelining::before_a_sleeper", "holds responses back while a later pipelined request sleeps";
    UnboundedOutput "unbounded-output" "pipelining::sends_before_reading", "keeps reading and buffering responses while the client reads none";
    ClosesAfterHundred "closes-after-hundred" "pipelining::order", "closes after a hundred responses without Connection: close";
    IgnoresClose "ignores-close" "connection::close_is_obeyed", "ignores Connection: close";
    Http10KeepAliveUnasked "http10-keep-alive-unasked" "connection::http_1_0_closes", "keeps HTTP/1.0 connections alive that did not ask for it";
    Http10KeepAliveUntold "http10-keep-alive-untold" "connection::http_1_0_keep_alive", "does not send Connection: keep-alive to an HTTP/1.0 client that asked for it";
    KeepsAfterRefusal "keeps-after-refusal" "framing::nothing_after_a_refusal", "keeps the connection open after a malformed request";
    ClosesAfterRefusal "closes-after-refusal" "connection::after_404", "closes after every refusal, even a 404";
    CloseUnannounced "close-unannounced" "connection::close_is_obeyed", "closes without Connection: close";

    // Mistakes about the end of a connection.
    HalfCloseLosesAnswer "half-close-loses-answer" "connection::half_close_while_it_sleeps", "treats a client that shut down its sending side as disconnected";
    ResetsInsteadOfFinishing "resets-instead-of-finishing" "connection::lingering_close", "closes immediately after the last response, with input unread";
    LingersWithoutShutdown "lingers-without-shutdown" "connection::end_is_seen_while_it_lingers", "keeps reading after the last response without shutting down its own side";
    LingersForEver "lingers-for-ever" "deadlines::linger_is_not_put_off", "keeps reading after the last response for as long as the client sends";
    ShortWrite "short-write" "partial::short_writes_generated", "assumes that one write sends everything";

    // Mistakes about deadlines.
    NoIdleDeadline "no-idle-deadline" "deadlines::idle_from_the_start", "lets a client be idle forever";
    IdleDeadlineFromAccept "idle-deadline-from-accept" "deadlines::idle_begins_again", "measures idle time from the accept instead of the last response";
    IdleDeadlineSpeaks "idle-deadline-speaks" "deadlines::idle_from_the_start", "sends 408 to a client that has sent nothing";
    NoHeadDeadline "no-head-deadline" "deadlines::head_stalls", "waits forever for the rest of a head";
    HeadDeadlinePerByte "head-deadline-per-byte" "deadlines::head_drips", "restarts the head's deadline with every byte";
    LateIsTooLate "late-is-too-late" "lifecycle::frozen_in_a_head", "looks at the clock before it looks for input, so that a client pays for a pause of the server";
    SilentTimeout "silent-timeout" "deadlines::head_stalls", "closes without a 408 when a request is not complete in time";
    NoBodyDeadline "no-body-deadline" "deadlines::content_stalls", "waits forever for the rest of a content";
    BodyDeadlinePerByte "body-deadline-per-byte" "deadlines::content_drips", "restarts the content's deadline with every byte";
    NoBodyRate "no-body-rate" "deadlines::content_too_slow", "does not enforce --body-rate";
    NoWriteDeadline "no-write-deadline" "deadlines::never_reads", "waits forever for a client that does not read";
    WriteDeadlineForAll "write-deadline-for-all" "deadlines::slow_reader_within_its_time", "applies one write deadline to a whole response, so that a slow reader of a long one is cut off";
    WriteDeadlineHalved "write-deadline-halved" "deadlines::reads_in_gulps", "demands progress within each half of --write-timeout";
    RoomToldLate "room-told-late" "deadlines::slow_reader_within_its_time", "learns too late that a large socket buffer has room again, and takes a slow reader for a stalled one";

    // Mistakes about responses.
    HeadWithBody "head-with-body" "bodies::head_has_no_content", "sends a content in a response to HEAD";
    RefusedHeadWithBody "refused-head-with-body" "bodies::head_of_404", "sends a content in an error response to HEAD";
    MalformedHeadWithBody "malformed-head-with-body" "bodies::refused_head_has_no_content", "sends content when it refuses a malformed HEAD";
    LateHeadWithBody "late-head-with-body" "deadlines::head_method_stalls", "sends content with a 408 to a HEAD";
    HeadZeroLength "head-zero-length" "files::head", "answers HEAD with Content-Length: 0";
    NotModifiedWithBody "not-modified-with-body" "conditional::not_modified_fields", "sends a content with 304";
    NotModifiedWithoutTag "not-modified-without-tag" "conditional::not_modified_fields", "sends 304 without ETag";
    RefusalWithoutAllow "refusal-without-allow" "request_line::put", "sends 405 without Allow";
    CountsCharacters "counts-characters" "bodies::more_bytes_than_characters", "counts characters instead of bytes for Content-Length";
    NoDate "no-date" "headers::complete_200", "sends responses without Date";

    // Mistakes about files.
    PrefixOfRoot "prefix-of-root" "paths::sibling_by_prefix", "treats every path whose text begins with the root's as inside the root";
    FollowsLinksOut "follows-links-out" "paths::link_out", "follows a symbolic link out of the root";
    DotsCheckedEncoded "dots-checked-encoded" "paths::dot_dot_encoded", "checks for .. before it decodes the path";
    DecodesTwice "decodes-twice" "paths::encoded_twice", "decodes a path twice";
    NeverDecodes "never-decodes" "files::space_in_name", "does not decode a path";
    LaxPercent "lax-percent" "paths::percent_without_digits", "accepts a percent sign without two digits as a literal";
    EncodedSlash "encoded-slash" "paths::encoded_slash_inside", "treats %2F as a path separator";
    NulEndsName "nul-ends-name" "paths::nul", "truncates a name at %00";
    JoinsAbsolute "joins-absolute" "paths::absolute_path", "serves //etc/passwd, because joining an absolute path replaces the root";
    ServesDotfiles "serves-dotfiles" "paths::dot_directory", "serves .git/config";
    OpensFifo "opens-fifo" "paths::fifo", "blocks when it opens a named pipe that has no writer";
    ListsDirectories "lists-directories" "files::directory_without_index", "lists a directory that has no index.html";
    NoRedirect "no-redirect" "files::directory_redirects", "serves a directory's index.html without the trailing slash";
    RedirectLosesQuery "redirect-loses-query" "files::directory_redirect_keeps_query", "drops the query from a redirect";
    SlashBehindFile "slash-behind-file" "paths::slash_behind_file", "serves a file whose path has a trailing slash";
    NoContentType "no-content-type" "files::type_html", "sends application/octet-stream for every file";
    DiesOfOldFile "dies-of-old-file" "files::file_from_before_1970", "exits when a file's modification time is before 1970";
    OldFilesAlike "old-files-alike" "files::old_file_changes_tag", "treats all files from before 1970 as of the same time";
    RedirectAsItCame "redirect-as-it-came" "files::redirect_is_encoded", "copies the target into Location without encoding it";
    RedirectEncodesTwice "redirect-encodes-twice" "files::redirect_is_encoded", "percent-encodes in Location what is percent-encoded already";
    NamesAreText "names-are-text" "files::name_is_not_utf8", "cannot serve a file whose name is not UTF-8";
    UnreadableMissing "unreadable-missing" "files::unreadable_directory", "sends 404 for a directory that it may search but not read";
    AnyRoot "any-root" "lifecycle::unreadable_root", "starts with a root that it may not read";
    RoutesEncoded "routes-encoded" "routes::percent_encoded", "compares routes before it decodes the path";
    SlashDecoded "slash-decoded" "routes::percent_encoded_slash", "decodes a path before it splits it into segments";
    PadsShrunkFile "pads-shrunk-file" "files::file_shrinks_while_sent", "pads with zeros when a file shrinks while it is sent";

    // Mistakes about conditional requests and ranges.
    IfMatchIgnored "if-match-ignored" "conditional::match_other", "ignores If-Match";
    IfMatchWeak "if-match-weak" "conditional::match_weak", "compares If-Match weakly";
    IfUnmodifiedSinceIgnored "if-unmodified-since-ignored" "conditional::unmodified_since_long_ago", "ignores If-Unmodified-Since";
    NoneMatchWhole "none-match-whole" "conditional::none_match_list", "compares the whole If-None-Match field instead of its list elements";
    NoneMatchStrong "none-match-strong" "conditional::none_match_weak", "compares If-None-Match strongly, so that W/\"x\" does not match \"x\"";
    NoneMatchStar "none-match-star" "conditional::none_match_star", "does not implement If-None-Match: *";
    DateBeatsTag "date-beats-tag" "conditional::none_match_beats_modified_since", "sends 304 because of the date, though If-None-Match does not match";
    SameSecondModified "same-second-modified" "conditional::modified_since_same", "treats a file of exactly the given date as modified since";
    DatesFrom1970 "dates-from-1970" "conditional::unmodified_since_before_1970", "does not accept a date before 1970";
    NoLeapSecond "no-leap-second" "conditional::leap_second", "does not accept the second 60";
    TwoDigitsFrom1970 "two-digits-from-1970" "conditional::dates_of_rfc_850", "reads a year of two digits as one from 1970 to 2069";
    DatesInOneForm "dates-in-one-form" "conditional::dates_of_asctime", "reads dates in the preferred form only";
    IfRangeByDate "if-range-by-date" "files::two_versions_in_a_second", "accepts a date in If-Range";
    IfRangeIgnored "if-range-ignored" "ranges::if_range_other", "sends part of a file that has changed, despite If-Range";
    WeakEtag "weak-etag" "files::validators", "sends a weak ETag";
    ConstantEtag "constant-etag" "files::changed_file_changes_tag", "keeps a file's ETag when its content changes";
    RangeOffByOne "range-off-by-one" "ranges::first_three", "omits the last byte of a range";
    SuffixAsPrefix "suffix-as-prefix" "ranges::last_three", "treats bytes=-10 as bytes=0-10";
    LongRangeRefused "long-range-refused" "ranges::beyond_the_end", "refuses a range that ends beyond the end of the file";
    FirstOfRanges "first-of-ranges" "ranges::several", "answers the first of several ranges as if it were the only one";
    RangeForHead "range-for-head" "ranges::head", "answers HEAD with 206";
    BackwardRange "backward-range" "ranges::backwards", "answers bytes=9-0 with 416";
    PartialUnsatisfiable "partial-unsatisfiable" "ranges::behind_the_end", "answers 206 to a range that cannot be satisfied";
    UnsatisfiableWithoutLength "unsatisfiable-without-length" "ranges::behind_the_end", "sends 416 without Content-Range";

    // Mistakes of an event loop, made by the event-driven server (`events.rs`); the names begin
    // with "events-".
    EventsReadsOnce "events-reads-once" "events::all_of_what_came", "reads once per event, and waits for another event about the bytes that are left";
    EventsStrandsEnd "events-strands-end" "events::end_with_the_request", "takes a short read as drained, though an end of file was reported with it";
    EventsStrandsUrgent "events-strands-urgent" "events::urgent_data", "takes a short read as drained, though the read stopped at urgent data";
    EventsForgetsWhileAsleep "events-forgets-while-asleep" "events::speaks_while_it_sleeps", "discards events that arrive while a response sleeps";
    EventsSuccessor "events-successor" "events::successor", "applies a stale event of a closed connection to the connection that reuses its descriptor";
    EventsNoBudget "events-no-budget" "events::one_share_each", "serves one connection for as long as that connection has input";
    EventsAcceptsOnce "events-accepts-once" "events::a_crowd_at_once", "accepts one connection per event of an edge-triggered listener";
    EventsHangUpLosesAnswer "events-hang-up-loses-answer" "events::end_while_it_lingers", "closes at a hang-up, with input unread, while its last response is still on its way";
    EventsSpinsOnHalfClose "events-spins-on-half-close" "events::half_close_while_it_sleeps_is_no_work", "leaves an end of file unread for later, and is woken for it again and again";
    EventsSpinsOnHangUp "events-spins-on-hang-up" "events::reset_while_it_sleeps_is_no_work", "leaves a hang-up for later, and is woken for it again and again";
    EventsKeepsSleeper "events-keeps-sleeper" "events::reset_sleeper_is_gone_before_the_other", "keeps a connection that its client has reset until the sleeping response is due";
    EventsSleepsUnheard "events-sleeps-unheard" "events::reset_before_it_sleeps", "discards a reset that was reported together with a request, when the response begins to sleep";
    EventsWantsRoomAlways "events-wants-room-always" "resources::at_rest_is_no_work", "stays registered for writability when it has nothing to write";
    EventsIdleKeepsStack "events-idle-keeps-stack" "resources::memory_of_a_crowd_of_idle_clients", "keeps a stack for each idle connection";
    EventsStaleDeadline "events-stale-deadline" "deadlines::head_deadline_is_over_with_the_head", "wakes a sleeping response at the deadline of the phase before it";
    EventsLosesOverflow "events-loses-overflow" "events::signal_queue_overflow", "handles 64 events per round and loses the others";
    EventsLateNews "events-late-news" "lifecycle::frozen_and_replaced", "handles a disconnect twice, the second time against the connection that now has the descriptor";
    EventsSendsItAll "events-sends-it-all" "fairness::fast_reader", "sends one response to its end, waiting for room, before it serves any other connection";
    EventsReadsItAll "events-reads-it-all" "fairness::endless_upload", "reads for as long as one client has more to send, and waits a moment for more";
    EventsDripResetsDeadline "events-drip-resets-deadline" "deadlines::head_drips", "restarts a request's deadline with every event";
    // Mistakes in the course's projects. A project's case starts the server with options, which
    // choose the kind of server.
    ElasticStartsWithAll "elastic-starts-with-all" "project_pool::starts_small", "starts all workers that it may have at once";
    ElasticNeverGrows "elastic-never-grows" "project_pool::grows_for_waiting_clients", "has a pool of a fixed size";
    ElasticWithoutBound "elastic-without-bound" "project_pool::grows_no_further", "starts a worker for each client that waits, without a bound";
    ElasticGrowsForEveryClient "elastic-grows-for-every-client" "project_pool::one_after_another", "starts a worker for each client, though others are free";
    ElasticNeverShrinks "elastic-never-shrinks" "project_pool::shrinks_after_a_crowd", "keeps every worker that it has started";
    ElasticShrinksAtOnce "elastic-shrinks-at-once" "project_pool::keeps_workers_for_a_while", "ends a worker as soon as it has no client";
    ElasticPanicCostsWorker "elastic-panic-costs-worker" "project_pool::panics_cost_no_worker", "counts a worker that has panicked as if it still worked";
    ElasticDropsAtStop "elastic-drops-at-stop" "project_pool::stops_in_order", "does not wait for its workers at SIGTERM";
    MaxAgeFixed "max-age-fixed" "project_cache::seconds_are_the_options", "sends a max-age of 60, whatever --max-age says";
    MaxAgeEverywhere "max-age-everywhere" "project_cache::refusals_are_not_kept", "lets caches keep refusals";
    MaxAgeForPages "max-age-for-pages" "project_cache::pages_are_revalidated", "lets caches keep pages";
    MaxAgeForStats "max-age-for-stats" "project_cache::counters_are_never_stored", "lets caches store the counters";
    MaxAgeNotWithHead "max-age-not-with-head" "project_cache::head_has_it", "sends Cache-Control with GET, but not with HEAD";
    MaxAgeNotWith304 "max-age-not-with-304" "project_cache::not_modified_has_it", "sends a 304 without Cache-Control";
    MaxAgeNotInParts "max-age-not-in-parts" "project_cache::parts_have_it", "sends a 206 without Cache-Control";
    FilesOnTheLoop "files-on-the-loop" "project_files::the_loop_goes_on", "opens files in its event loop, and waits until they can be opened";
    FilesRefused "files-refused" "project_files::slow_files_are_served", "answers 503 for a file that cannot be opened at once";
    FilesThreadEach "files-thread-each" "project_files::helpers_are_bounded", "starts a thread for each file";
    FilesOutOfOrder "files-out-of-order" "project_files::answers_stay_in_order", "answers the requests behind one for a slow file first";

    // Mistakes that are easy to make with futures.
    EventsWakesOnce "events-wakes-once" "partial::head_byte_by_byte", "registers a waker at the first wait for the rest of a head, and does not register it again when too little has arrived";
    EventsYieldsForEver "events-yields-for-ever" "fairness::fast_reader", "yields to the others and is never polled again, because its scheduled flag is cleared after the poll instead of before";
    EventsAlarmOutlives "events-alarm-outlives" "events::stale_timer", "leaves the timer of a dropped sleeper armed, so that it wakes the connection that reuses its slot";
    EventsBlocksInTask "events-blocks-in-task" "many::beside_a_sleeper", "blocks its thread to sleep in the middle of a task";
    EventsIdleKeepsFuture "events-idle-keeps-future" "resources::memory_of_a_crowd_of_idle_clients", "keeps a future for each idle connection";
}
