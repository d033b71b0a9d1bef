//! The table of mistakes: for the mutant, which makes them, and for the test that
//! looks for each to be caught. A name that ends a case's promise belongs here
//! as soon as the case exists.

/// One mistake.
#[derive(Debug)]
pub(crate) struct Mutant {
    /// How the code asks for it.
    #[allow(dead_code, reason = "the test that shares this file knows mutants by name")]
    pub(crate) id: Mutation,
    /// How the command line asks for it.
    pub(crate) name: &'static str,
    /// The case that must fail, as `family::name`.
    #[allow(dead_code, reason = "the mutant itself need not know")]
    pub(crate) caught_by: &'static str,
    /// What is wrong, to be read after "a server that".
    pub(crate) wrong: &'static str,
}

/// Makes the enum and the table from one list, so that none lacks the other.
macro_rules! mutations {
    ($($id:ident $name:literal $caught_by:literal, $wrong:literal;)*) => {
        /// What can be wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(dead_code, reason = "the test that shares this file knows mutants by name")]
        pub(crate) enum Mutation { $(#[doc = $wrong] $id,)* }

        /// Every mistake.
        pub(crate) const MUTATIONS: &[Mutant] = &[$(Mutant {
            id: Mutation::$id,
            name: $name,
            caught_by: $caught_by,
            wrong: $wrong,
        },)*];
    };
}

mutations! {
    // clients and the machine
    Sequential "sequential" "many::second_client", "accepts the next client only after the first has gone";
    LeaksDescriptor "leaks-descriptor" "resources::descriptors", "keeps a descriptor of every client that was ever there";
    LeaksMemory "leaks-memory" "resources::memory_over_time", "keeps 64 KiB of every client that was ever there";
    LeaksThread "leaks-thread" "resources::threads_and_processes", "keeps the thread of every client that was ever there";
    OpenNeverFalls "open-never-falls" "routes::stats_open", "counts a client as open for ever";
    TimeoutsUncounted "timeouts-uncounted" "deadlines::idle_is_counted", "does not count what a deadline has ended";
    PanicEndsServer "panic-ends-server" "hostile::panic_costs_one_connection", "lets a panic of the application end the process";
    PanicUnanswered "panic-unanswered" "hostile::panic_costs_one_connection", "closes without a 500 when the application panics";
    DiesAtReset "dies-at-reset" "hostile::reset_in_a_long_answer", "ends the process when a client resets its connection";
    PrintsErrors "prints-errors" "hostile::reset_in_a_long_answer", "prints an error when a client resets its connection";
    PrintsToStandardOutput "prints-to-standard-output" "lifecycle::says_one_line", "prints a line on standard output for every client";
    ExitsWithoutDescriptors "exits-without-descriptors" "resources::out_of_descriptors", "ends the process when no descriptor is left";
    SpinsWithoutDescriptors "spins-without-descriptors" "resources::out_of_descriptors_is_no_work", "tries accept again and again, without a pause, when no descriptor is left";
    DeafAfterNoDescriptors "deaf-after-no-descriptors" "resources::out_of_descriptors", "never accepts again after it had no descriptor left";
    MissingWithoutDescriptor "missing-without-descriptor" "resources::out_of_descriptors_for_a_file", "says 404 for a file when no descriptor is left";
    ExitsWithoutThread "exits-without-thread" "resources::out_of_processes", "ends the process when no thread can be made";
    BusyWhileIdle "busy-while-idle" "resources::at_rest_is_no_work", "asks each idle client again and again";
    IgnoresConnectionLimit "ignores-connection-limit" "limits::connections_over_limit", "takes more clients than --max-connections";
    LimitWithoutAnswer "limit-without-answer" "limits::connections_over_limit", "closes without a 503 beyond --max-connections";
    LimitCountsAll "limit-counts-all" "limits::connections_free_again", "counts the clients that have gone against --max-connections";
    IgnoresMaxBuffered "ignores-max-buffered" "limits::buffered_over_limit", "holds more than --max-buffered";
    PromisesKept "promises-kept" "resources::promises_are_given_back", "counts room for what may follow a content, and does not give it back when nothing does";
    ReservesAnnounced "reserves-announced" "resources::memory_of_promises", "takes memory for all the content that a client only announces";
    WholeAnswerInMemory "whole-answer-in-memory" "resources::memory_of_those_that_never_read", "makes the whole of /bytes/N before it sends any";
    WholeFileInMemory "whole-file-in-memory" "resources::memory_of_files", "reads the whole of a file before it sends any";
    NoRetryAfter "no-retry-after" "limits::connections_over_limit", "says 503 without Retry-After";

    // starting and stopping
    FailsWithSuccess "fails-with-success" "lifecycle::port_in_use", "exits with status 0 when it cannot start";
    NoReuseAddress "no-reuse-address" "lifecycle::starts_again_at_once", "cannot start while old connections are in TIME_WAIT";
    DiesOfSigterm "dies-of-sigterm" "shutdown::at_rest", "does not catch SIGTERM";
    DiesOfSigint "dies-of-sigint" "shutdown::interrupt", "catches SIGTERM but not SIGINT";
    IgnoresStopWhileIdle "ignores-stop-while-idle" "shutdown::idle_client", "waits for idle clients at SIGTERM";
    DropsInFlight "drops-in-flight" "shutdown::while_it_sleeps", "ends at SIGTERM in the middle of an answer";
    DrainDropsHalfRequest "drain-drops-half-request" "shutdown::in_a_head", "closes at SIGTERM on a request that is half received";
    DrainUnannounced "drain-unannounced" "shutdown::in_a_head", "keeps connections, and says so, after SIGTERM";
    ListensWhileDraining "listens-while-draining" "shutdown::lets_nobody_in", "leaves the listening socket open after SIGTERM, and accepts nobody";
    IgnoresDrainDeadline "ignores-drain-deadline" "shutdown::drain_deadline_sleeping", "waits for the last client for ever after SIGTERM";
    BadExitStatus "bad-exit-status" "shutdown::at_rest", "exits with status 1 after SIGTERM";

    // workers made once
    DeadlineKeepsWorker "deadline-keeps-worker" "workers::idle_deadline_gives_back", "ends a client by its deadline, but leaves the worker waiting";
    GrowsWhenBusy "grows-when-busy" "workers::head_deadline_gives_back", "makes one more thread when all of its pool are busy";
    DropsWhenFull "drops-when-full" "workers::a_hundred_take_turns", "closes the client for whom its queue has no place";
    LastComeFirst "last-come-first" "workers::first_come_first_served", "serves those in its queue from the wrong end";
    UnboundedQueue "unbounded-queue" "workers::queue_is_bounded", "accepts everybody, however many wait for a worker";
    FullWithoutAnswer "full-without-answer" "workers::refuses_when_full", "closes without a 503 when its queue is full";
    FreeWorkersDoNotCount "free-workers-do-not-count" "workers::refuses_without_a_queue", "refuses a client when its queue is full, though a worker is free";
    PanicCostsWorker "panic-costs-worker" "workers::panics_cost_no_worker", "loses a worker with each panic of the application";
    FreeWorkersStay "free-workers-stay" "workers::free_workers_stop", "waits at SIGTERM for workers that wait for a client";
    ForgetsQueueAtStop "forgets-queue-at-stop" "workers::who_is_in_the_queue_is_served_at_the_stop", "drops at SIGTERM those who wait for a worker";
    NeverReplaces "never-replaces" "workers::killed_worker_is_replaced", "does not replace a worker process that has died";
    WorkerEndsServer "worker-ends-server" "workers::stopped_worker_is_replaced", "ends when one of its worker processes does";
    RushesToReplace "rushes-to-replace" "workers::no_rush_to_replace", "replaces worker processes at full speed, however fast they die";
    WorkersOutliveParent "workers-outlive-parent" "workers::workers_die_with_their_parent", "leaves its worker processes behind when it is killed";

    // the request line
    LaxRequestLine "lax-request-line" "request_line::two_spaces", "splits the request line at any white space, however much of it";
    AnyCaseMethod "any-case-method" "request_line::lower_case_method", "takes get for GET";
    AnyVersion "any-version" "request_line::version_2", "answers HTTP/2.0 and HTTP/1.2 as if they were HTTP/1.1";
    NoAbsoluteForm "no-absolute-form" "request_line::absolute_form", "does not understand GET http://host/path";
    EmptyLineRefused "empty-line-refused" "request_line::empty_line_before", "refuses an empty line before a request";
    QueryInPath "query-in-path" "request_line::query_is_ignored", "takes the query for a part of the path";
    UnboundedLine "unbounded-line" "limits::line_over_limit", "has no --max-line";
    LineOffByOne "line-off-by-one" "limits::line_at_limit", "refuses a request line of exactly --max-line";
    SignedNumber "signed-number" "routes::sleep_with_sign", "takes /bytes/+5 for /bytes/5";
    ClampsNumber "clamps-number" "routes::bytes_too_many", "answers a number that is too large as if it were the largest";
    SleepsNot "sleeps-not" "many::sleepers_together", "answers /sleep/MS at once";

    // fields
    CaseSensitiveNames "case-sensitive-names" "headers::names_ignore_case", "takes content-length for another field than Content-Length";
    SpaceBeforeColon "space-before-colon" "headers::space_before_colon", "accepts a space before the colon";
    FoldedLine "folded-line" "headers::folded_line", "joins a folded line to the one before";
    BareLf "bare-lf" "headers::lf_alone", "accepts a line that ends with LF alone";
    ControlInValue "control-in-value" "headers::bare_cr_in_value", "accepts NUL and a lone CR in a value";
    NoHost "no-host" "headers::no_host", "accepts HTTP/1.1 without Host";
    TwoHosts "two-hosts" "headers::two_hosts", "accepts two Hosts";
    AnyHost "any-host" "headers::host_with_space", "accepts a Host that is no host";
    ConnectionWhole "connection-whole" "connection::close_in_a_list", "compares the whole Connection field, not its elements";
    UnboundedHead "unbounded-head" "limits::head_without_end", "has no --max-head";
    HeadOffByOne "head-off-by-one" "limits::head_at_limit", "refuses a head of exactly --max-head";
    UnboundedFields "unbounded-fields" "limits::fields_over_limit", "has no --max-fields";
    FieldsOffByOne "fields-off-by-one" "limits::fields_at_limit", "refuses exactly --max-fields fields";
    AnyExpectation "any-expectation" "expect::unknown", "ignores an expectation that it does not know";
    CaseSensitiveExpect "case-sensitive-expect" "expect::ignores_case", "refuses Expect: 100-Continue for its capital letter";

    // framing and content
    FirstContentLength "first-content-length" "framing::two_lengths", "believes the first of two Content-Lengths";
    SignedContentLength "signed-content-length" "framing::length_plus", "takes Content-Length: +5 for 5";
    TransferEncodingAndLength "transfer-encoding-and-length" "framing::length_and_chunked", "ignores Content-Length beside Transfer-Encoding";
    TransferEncodingInHttp10 "transfer-encoding-in-http10" "framing::chunked_in_http_1_0", "accepts Transfer-Encoding in HTTP/1.0";
    ChunkedBySubstring "chunked-by-substring" "framing::nearly_chunked", "takes any coding with chunked in its name for chunked";
    ChunkedNotLast "chunked-not-last" "framing::chunked_is_not_last", "accepts chunked before another coding";
    UnknownCoding "unknown-coding" "framing::unknown_coding", "ignores the coding in gzip, chunked";
    CaseSensitiveCoding "case-sensitive-coding" "framing::chunked_ignores_case", "refuses Transfer-Encoding: Chunked for its capital letter";
    ChunkSizeOverflow "chunk-size-overflow" "chunks::size_overflow", "lets a chunk's size overflow";
    PrefixedChunkSize "prefixed-chunk-size" "chunks::size_0x", "accepts +5 and 0x5 as a chunk's size";
    LowercaseHexOnly "lowercase-hex-only" "chunks::hex_of_either_case", "refuses capital digits in a chunk's size";
    ChunkEndUnchecked "chunk-end-unchecked" "chunks::data_end_is_checked", "skips two bytes after a chunk, whatever they are";
    ExtensionRefused "extension-refused" "chunks::extension", "refuses chunk extensions";
    UnboundedExtensions "unbounded-extensions" "limits::extension_without_end", "reads chunk extensions without end";
    TrailersAsRequest "trailers-as-request" "chunks::trailers", "takes the trailers for the next request";
    UnboundedTrailers "unbounded-trailers" "limits::trailers_over_limit", "reads trailers without end";
    GetContentIgnored "get-content-ignored" "framing::get_with_content", "takes the content of a GET for the next request";
    RefusedContentAsRequest "refused-content-as-request" "framing::refused_method_with_content", "takes the content of a refused method for the next request";
    TruncatedContent "truncated-content" "framing::end_in_content", "answers a request whose content was cut short";
    EchoAsText "echo-as-text" "bodies::every_byte_value", "takes every content for UTF-8";
    UnboundedContent "unbounded-content" "limits::content_over_limit", "has no --max-body";
    BodyOffByOne "body-off-by-one" "bodies::one_mebibyte", "refuses a content of exactly --max-body";
    LateTooLarge "late-too-large" "limits::content_over_limit", "reads a content before it notices that it is too large";
    NeverContinue "never-continue" "expect::asks_first", "never says 100 Continue";
    ContinueToHttp10 "continue-to-http10" "expect::http_1_0", "says 100 Continue to HTTP/1.0";
    ContinueBeforeRefusal "continue-before-refusal" "expect::too_large", "says 100 Continue for a content that it then refuses";

    // reading in pieces
    HeadInOneRead "head-in-one-read" "partial::head_cut_everywhere", "expects a head to come in one piece";
    SplitLineEnd "split-line-end" "partial::head_cut_everywhere", "does not know CR LF when CR and LF come in two pieces";
    ContentInOneRead "content-in-one-read" "partial::content_cut_everywhere", "expects a content to come in one piece";

    // pipelining and keeping connections
    ForgetsSecond "forgets-second" "pipelining::two", "forgets the second of two pipelined requests";
    DropsAfterContent "drops-after-content" "pipelining::mixed_methods", "drops the pipelined bytes after a content";
    OutOfOrder "out-of-order" "pipelining::order_with_a_slow_one", "answers later pipelined requests while an earlier one sleeps";
    HoldsBackAnswers "holds-back-answers" "pipelining::half_a_request_behind", "holds an answer back while half of the next request is there";
    HoldsBackWhileSleeping "holds-back-while-sleeping" "pipelining::before_a_sleeper", "holds answers back while a later pipelined request sleeps";
    UnboundedOutput "unbounded-output" "pipelining::nobody_reads", "reads on, and keeps all answers, while nobody takes them";
    ClosesAfterHundred "closes-after-hundred" "pipelining::order", "closes after a hundred answers without saying so";
    IgnoresClose "ignores-close" "connection::close_is_obeyed", "ignores Connection: close";
    Http10KeepAliveUnasked "http10-keep-alive-unasked" "connection::http_1_0_closes", "keeps connections of HTTP/1.0 that did not ask for it";
    Http10KeepAliveUntold "http10-keep-alive-untold" "connection::http_1_0_keep_alive", "does not tell a client of HTTP/1.0 that its connection stays";
    KeepsAfterRefusal "keeps-after-refusal" "framing::nothing_after_a_refusal", "goes on after a malformed request";
    ClosesAfterRefusal "closes-after-refusal" "connection::after_404", "closes after every refusal, a 404 too";
    CloseUnannounced "close-unannounced" "connection::close_is_obeyed", "closes without Connection: close";

    // the end of a connection
    HalfCloseLosesAnswer "half-close-loses-answer" "connection::half_close_while_it_sleeps", "takes a client that has closed its sending side for gone";
    ResetsInsteadOfFinishing "resets-instead-of-finishing" "connection::lingering_close", "closes at once after the last answer, with input unread";
    LingersWithoutShutdown "lingers-without-shutdown" "connection::end_is_seen_while_it_lingers", "reads on after the last answer without closing its own side";
    LingersForEver "lingers-for-ever" "deadlines::linger_is_not_put_off", "reads on after the last answer as long as anything comes";
    ShortWrite "short-write" "partial::short_writes_generated", "believes that one write sends everything";

    // deadlines
    NoIdleDeadline "no-idle-deadline" "deadlines::idle_from_the_start", "lets a client be idle for ever";
    IdleDeadlineFromAccept "idle-deadline-from-accept" "deadlines::idle_begins_again", "counts idle time from the beginning of the connection";
    IdleDeadlineSpeaks "idle-deadline-speaks" "deadlines::idle_from_the_start", "says 408 to a client that has sent nothing";
    NoHeadDeadline "no-head-deadline" "deadlines::head_stalls", "waits for the rest of a head for ever";
    HeadDeadlinePerByte "head-deadline-per-byte" "deadlines::head_drips", "begins the head's time again with every byte";
    SilentTimeout "silent-timeout" "deadlines::head_stalls", "closes without a 408 when a request is not complete in time";
    NoBodyDeadline "no-body-deadline" "deadlines::content_stalls", "waits for the rest of a content for ever";
    BodyDeadlinePerByte "body-deadline-per-byte" "deadlines::content_drips", "begins the content's time again with every byte";
    NoBodyRate "no-body-rate" "deadlines::content_too_slow", "does not ask for --body-rate";
    NoWriteDeadline "no-write-deadline" "deadlines::never_reads", "waits for a client that does not read for ever";
    WriteDeadlineForAll "write-deadline-for-all" "deadlines::slow_reader_within_its_time", "bounds the time of a whole answer, so that a slow reader of a long one is cut";
    WriteDeadlineHalved "write-deadline-halved" "deadlines::reads_in_gulps", "asks for progress in each half of --write-timeout";
    RoomToldLate "room-told-late" "deadlines::slow_reader_within_its_time", "hears too late that a large socket buffer has room again, and takes a slow reader for a stalled one";

    // answers
    HeadWithBody "head-with-body" "bodies::head_has_no_content", "answers HEAD with a content";
    RefusedHeadWithBody "refused-head-with-body" "bodies::head_of_404", "answers a refused HEAD with a content";
    HeadZeroLength "head-zero-length" "files::head", "answers HEAD with Content-Length: 0";
    NotModifiedWithBody "not-modified-with-body" "conditional::not_modified_fields", "answers 304 with a content";
    NotModifiedWithoutTag "not-modified-without-tag" "conditional::not_modified_fields", "answers 304 without ETag";
    RefusalWithoutAllow "refusal-without-allow" "request_line::put", "answers 405 without Allow";
    CountsCharacters "counts-characters" "bodies::more_bytes_than_characters", "counts characters, not bytes, for Content-Length";
    NoDate "no-date" "headers::complete_200", "answers without Date";

    // files
    PrefixOfRoot "prefix-of-root" "paths::sibling_by_prefix", "takes every path that begins with the root's text for one inside";
    FollowsLinksOut "follows-links-out" "paths::link_out", "follows a symbolic link out of the root";
    DotsCheckedEncoded "dots-checked-encoded" "paths::dot_dot_encoded", "looks for .. before it decodes";
    DecodesTwice "decodes-twice" "paths::encoded_twice", "decodes a path twice";
    NeverDecodes "never-decodes" "files::space_in_name", "does not decode a path";
    LaxPercent "lax-percent" "paths::percent_without_digits", "takes a percent sign without two digits for itself";
    EncodedSlash "encoded-slash" "paths::encoded_slash_inside", "takes %2F for a slash";
    NulEndsName "nul-ends-name" "paths::nul", "ends a name at %00";
    JoinsAbsolute "joins-absolute" "paths::absolute_path", "serves //etc/passwd, as joining an absolute path begins at the top";
    ServesDotfiles "serves-dotfiles" "paths::dot_directory", "serves .git/config";
    OpensFifo "opens-fifo" "paths::fifo", "opens a named pipe and waits for somebody to write to it";
    ListsDirectories "lists-directories" "files::directory_without_index", "lists a directory that has no index.html";
    NoRedirect "no-redirect" "files::directory_redirects", "serves a directory's index.html without the slash";
    RedirectLosesQuery "redirect-loses-query" "files::directory_redirect_keeps_query", "redirects without the query";
    SlashBehindFile "slash-behind-file" "paths::slash_behind_file", "serves a file with a slash behind its name";
    NoContentType "no-content-type" "files::type_html", "says application/octet-stream for every file";
    DiesOfOldFile "dies-of-old-file" "files::file_from_before_1970", "has no number for a time before 1970, and ends";
    PadsShrunkFile "pads-shrunk-file" "files::file_shrinks_while_sent", "fills up with zeros what a file has lost while it was sent";

    // conditions and ranges
    IfMatchIgnored "if-match-ignored" "conditional::match_other", "ignores If-Match";
    IfMatchWeak "if-match-weak" "conditional::match_weak", "compares If-Match weakly";
    IfUnmodifiedSinceIgnored "if-unmodified-since-ignored" "conditional::unmodified_since_long_ago", "ignores If-Unmodified-Since";
    NoneMatchWhole "none-match-whole" "conditional::none_match_list", "compares the whole If-None-Match, not its elements";
    NoneMatchStrong "none-match-strong" "conditional::none_match_weak", "does not find W/\"x\" to match \"x\" in If-None-Match";
    NoneMatchStar "none-match-star" "conditional::none_match_star", "does not know If-None-Match: *";
    DateBeatsTag "date-beats-tag" "conditional::none_match_beats_modified_since", "answers 304 by the date though If-None-Match does not match";
    SameSecondModified "same-second-modified" "conditional::modified_since_same", "takes a file of exactly that date for modified since";
    IfRangeIgnored "if-range-ignored" "ranges::if_range_other", "sends a part of a file that has changed, despite If-Range";
    WeakEtag "weak-etag" "files::validators", "sends a weak ETag";
    ConstantEtag "constant-etag" "files::changed_file_changes_tag", "keeps a file's ETag when its content changes";
    RangeOffByOne "range-off-by-one" "ranges::first_three", "leaves the last byte of a range out";
    SuffixAsPrefix "suffix-as-prefix" "ranges::last_three", "takes bytes=-10 for bytes=0-10";
    LongRangeRefused "long-range-refused" "ranges::beyond_the_end", "refuses a range whose end is beyond the file's";
    FirstOfRanges "first-of-ranges" "ranges::several", "answers the first of several ranges as if it were the only one";
    RangeForHead "range-for-head" "ranges::head", "answers HEAD with 206";
    BackwardRange "backward-range" "ranges::backwards", "answers bytes=9-0 with 416";
    PartialUnsatisfiable "partial-unsatisfiable" "ranges::behind_the_end", "answers 206 to a range that cannot be satisfied";
    UnsatisfiableWithoutLength "unsatisfiable-without-length" "ranges::behind_the_end", "answers 416 without Content-Range";

    // one thread and events: these are made by a server of its own (`events.rs`), by name
    EventsReadsOnce "events-reads-once" "events::all_of_what_came", "reads once when it is told, and waits to be told again of what is left";
    EventsStrandsEnd "events-strands-end" "events::end_with_the_request", "takes a short read for the end of the news, though the end of file came with it";
    EventsStrandsUrgent "events-strands-urgent" "events::urgent_data", "takes a short read for all that there is, though it has stopped at urgent data";
    EventsForgetsWhileAsleep "events-forgets-while-asleep" "events::speaks_while_it_sleeps", "forgets what it is told while an answer sleeps";
    EventsSuccessor "events-successor" "events::successor", "takes news of a client that has gone for news of the next one with its descriptor";
    EventsNoBudget "events-no-budget" "events::one_share_each", "goes on with one client as long as that one has something to say";
    EventsAcceptsOnce "events-accepts-once" "events::a_crowd_at_once", "accepts one client each time it is told that there are some";
    EventsHangUpLosesAnswer "events-hang-up-loses-answer" "events::end_while_it_lingers", "closes at a hang-up, with input unread, while its last answer is on its way";
    EventsSpinsOnHalfClose "events-spins-on-half-close" "events::half_close_while_it_sleeps_is_no_work", "is told of an end of file again and again, and leaves it for later";
    EventsSpinsOnHangUp "events-spins-on-hang-up" "events::reset_while_it_sleeps_is_no_work", "is told of a hang-up again and again, and leaves it for later";
    EventsKeepsSleeper "events-keeps-sleeper" "events::reset_sleeper_is_gone_before_the_other", "keeps a client that has reset its connection until its answer has slept enough";
    EventsSleepsUnheard "events-sleeps-unheard" "events::reset_before_it_sleeps", "forgets, as it begins to sleep, that its client's reset has come with the request";
    EventsWantsRoomAlways "events-wants-room-always" "resources::at_rest_is_no_work", "asks for room to write when it has nothing to write";
    EventsIdleKeepsStack "events-idle-keeps-stack" "resources::memory_of_a_crowd_of_idle_clients", "keeps the stack on which it has served a client as long as that one is connected";
    EventsStaleDeadline "events-stale-deadline" "deadlines::head_deadline_is_over_with_the_head", "wakes a sleeper at the deadline of what it waited for before";
    EventsLosesOverflow "events-loses-overflow" "events::more_news_than_signals", "has a queue of sixty-four for news, and does not look around when it has overflowed";
    EventsLateNews "events-late-news" "lifecycle::frozen_and_replaced", "is told twice that a client has gone, and at the second time ends the one that has its descriptor now";
    EventsSendsItAll "events-sends-it-all" "greedy::fast_reader", "sends an answer to its end, waiting for room, before it looks at anybody else";
    EventsReadsItAll "events-reads-it-all" "greedy::endless_upload", "reads on as long as one client has more to say, and a moment longer, as more is sure to come";
    EventsDripResetsDeadline "events-drip-resets-deadline" "deadlines::head_drips", "begins a request's time again whenever it is told of more";
    // what futures get wrong
    EventsWakesOnce "events-wakes-once" "partial::head_byte_by_byte", "leaves a waker at its first wait for the rest of a head, and none when it was woken for too little";
    EventsYieldsForEver "events-yields-for-ever" "greedy::fast_reader", "lets the others go first, and is polled no more, as the mark of its own wake-up was taken off after the poll";
    EventsAlarmOutlives "events-alarm-outlives" "events::alarm_of_one_that_left", "leaves the alarm of a sleeper that was dropped, and wakes by it who has its place now";
    EventsBlocksInTask "events-blocks-in-task" "many::beside_a_sleeper", "sleeps with its thread in the middle of a task";
    EventsIdleKeepsFuture "events-idle-keeps-future" "resources::memory_of_a_crowd_of_idle_clients", "keeps the future by which it has served a client as long as that one is connected";
}
