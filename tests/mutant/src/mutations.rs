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
    Sequential "sequential" "", "accepts the next client only after the first has gone";
    LeaksDescriptor "leaks-descriptor" "", "keeps a descriptor of every client that was ever there";
    LeaksMemory "leaks-memory" "", "keeps 64 KiB of every client that was ever there";
    OpenNeverFalls "open-never-falls" "", "counts a client as open for ever";
    TimeoutsUncounted "timeouts-uncounted" "", "does not count what a deadline has ended";
    PanicEndsServer "panic-ends-server" "", "lets a panic of the application end the process";
    PanicUnanswered "panic-unanswered" "", "closes without a 500 when the application panics";
    DiesAtReset "dies-at-reset" "", "ends the process when a client resets its connection";
    PrintsErrors "prints-errors" "", "prints an error when a client resets its connection";
    PrintsToStandardOutput "prints-to-standard-output" "", "prints a line on standard output for every client";
    ExitsWithoutDescriptors "exits-without-descriptors" "", "ends the process when no descriptor is left";
    SpinsWithoutDescriptors "spins-without-descriptors" "", "tries accept again and again, without a pause, when no descriptor is left";
    DeafAfterNoDescriptors "deaf-after-no-descriptors" "", "never accepts again after it had no descriptor left";
    IgnoresConnectionLimit "ignores-connection-limit" "", "takes more clients than --max-connections";
    LimitWithoutAnswer "limit-without-answer" "", "closes without a 503 beyond --max-connections";
    LimitCountsAll "limit-counts-all" "", "counts the clients that have gone against --max-connections";
    IgnoresMaxBuffered "ignores-max-buffered" "", "holds more than --max-buffered";
    NoRetryAfter "no-retry-after" "", "says 503 without Retry-After";

    // starting and stopping
    FailsWithSuccess "fails-with-success" "", "exits with status 0 when it cannot start";
    DiesOfSigterm "dies-of-sigterm" "", "does not catch SIGTERM";
    DiesOfSigint "dies-of-sigint" "", "catches SIGTERM but not SIGINT";
    IgnoresStopWhileIdle "ignores-stop-while-idle" "", "waits for idle clients at SIGTERM";
    DropsInFlight "drops-in-flight" "", "ends at SIGTERM in the middle of an answer";
    DrainDropsHalfRequest "drain-drops-half-request" "", "closes at SIGTERM on a request that is half received";
    DrainUnannounced "drain-unannounced" "", "keeps connections, and says so, after SIGTERM";
    ListensWhileDraining "listens-while-draining" "", "leaves the listening socket open after SIGTERM, and accepts nobody";
    IgnoresDrainDeadline "ignores-drain-deadline" "", "waits for the last client for ever after SIGTERM";
    BadExitStatus "bad-exit-status" "", "exits with status 1 after SIGTERM";

    // the request line
    LaxRequestLine "lax-request-line" "", "splits the request line at any white space, however much of it";
    AnyCaseMethod "any-case-method" "", "takes get for GET";
    AnyVersion "any-version" "", "answers HTTP/2.0 and HTTP/1.2 as if they were HTTP/1.1";
    NoAbsoluteForm "no-absolute-form" "", "does not understand GET http://host/path";
    EmptyLineRefused "empty-line-refused" "", "refuses an empty line before a request";
    QueryInPath "query-in-path" "", "takes the query for a part of the path";
    UnboundedLine "unbounded-line" "", "has no --max-line";
    LineOffByOne "line-off-by-one" "", "refuses a request line of exactly --max-line";
    SignedNumber "signed-number" "", "takes /bytes/+5 for /bytes/5";
    ClampsNumber "clamps-number" "", "answers a number that is too large as if it were the largest";
    SleepsNot "sleeps-not" "", "answers /sleep/MS at once";

    // fields
    CaseSensitiveNames "case-sensitive-names" "", "takes content-length for another field than Content-Length";
    SpaceBeforeColon "space-before-colon" "", "accepts a space before the colon";
    FoldedLine "folded-line" "", "joins a folded line to the one before";
    BareLf "bare-lf" "", "accepts a line that ends with LF alone";
    ControlInValue "control-in-value" "", "accepts NUL and a lone CR in a value";
    NoHost "no-host" "", "accepts HTTP/1.1 without Host";
    TwoHosts "two-hosts" "", "accepts two Hosts";
    AnyHost "any-host" "", "accepts a Host that is no host";
    ConnectionWhole "connection-whole" "", "compares the whole Connection field, not its elements";
    UnboundedHead "unbounded-head" "", "has no --max-head";
    HeadOffByOne "head-off-by-one" "", "refuses a head of exactly --max-head";
    UnboundedFields "unbounded-fields" "", "has no --max-fields";
    FieldsOffByOne "fields-off-by-one" "", "refuses exactly --max-fields fields";
    AnyExpectation "any-expectation" "", "ignores an expectation that it does not know";
    CaseSensitiveExpect "case-sensitive-expect" "", "refuses Expect: 100-Continue for its capital letter";

    // framing and content
    FirstContentLength "first-content-length" "", "believes the first of two Content-Lengths";
    SignedContentLength "signed-content-length" "", "takes Content-Length: +5 for 5";
    TransferEncodingAndLength "transfer-encoding-and-length" "", "ignores Content-Length beside Transfer-Encoding";
    TransferEncodingInHttp10 "transfer-encoding-in-http10" "", "accepts Transfer-Encoding in HTTP/1.0";
    ChunkedBySubstring "chunked-by-substring" "", "takes any coding with chunked in its name for chunked";
    ChunkedNotLast "chunked-not-last" "", "accepts chunked before another coding";
    UnknownCoding "unknown-coding" "", "ignores the coding in gzip, chunked";
    CaseSensitiveCoding "case-sensitive-coding" "", "refuses Transfer-Encoding: Chunked for its capital letter";
    ChunkSizeOverflow "chunk-size-overflow" "", "lets a chunk's size overflow";
    PrefixedChunkSize "prefixed-chunk-size" "", "accepts +5 and 0x5 as a chunk's size";
    LowercaseHexOnly "lowercase-hex-only" "", "refuses capital digits in a chunk's size";
    ChunkEndUnchecked "chunk-end-unchecked" "", "skips two bytes after a chunk, whatever they are";
    ExtensionRefused "extension-refused" "", "refuses chunk extensions";
    UnboundedExtensions "unbounded-extensions" "", "reads chunk extensions without end";
    TrailersAsRequest "trailers-as-request" "", "takes the trailers for the next request";
    UnboundedTrailers "unbounded-trailers" "", "reads trailers without end";
    GetContentIgnored "get-content-ignored" "", "takes the content of a GET for the next request";
    RefusedContentAsRequest "refused-content-as-request" "", "takes the content of a refused method for the next request";
    TruncatedContent "truncated-content" "", "answers a request whose content was cut short";
    EchoAsText "echo-as-text" "", "takes every content for UTF-8";
    UnboundedContent "unbounded-content" "", "has no --max-body";
    BodyOffByOne "body-off-by-one" "", "refuses a content of exactly --max-body";
    LateTooLarge "late-too-large" "", "reads a content before it notices that it is too large";
    NeverContinue "never-continue" "", "never says 100 Continue";
    ContinueToHttp10 "continue-to-http10" "", "says 100 Continue to HTTP/1.0";
    ContinueBeforeRefusal "continue-before-refusal" "", "says 100 Continue for a content that it then refuses";

    // reading in pieces
    HeadInOneRead "head-in-one-read" "", "expects a head to come in one piece";
    SplitLineEnd "split-line-end" "", "does not know CR LF when CR and LF come in two pieces";
    ContentInOneRead "content-in-one-read" "", "expects a content to come in one piece";

    // pipelining and keeping connections
    ForgetsSecond "forgets-second" "", "forgets the second of two pipelined requests";
    DropsAfterContent "drops-after-content" "", "drops the pipelined bytes after a content";
    OutOfOrder "out-of-order" "", "answers later pipelined requests while an earlier one sleeps";
    HoldsBackAnswers "holds-back-answers" "", "holds an answer back while half of the next request is there";
    HoldsBackWhileSleeping "holds-back-while-sleeping" "", "holds answers back while a later pipelined request sleeps";
    UnboundedOutput "unbounded-output" "", "reads on, and keeps all answers, while nobody takes them";
    ClosesAfterHundred "closes-after-hundred" "", "closes after a hundred answers without saying so";
    IgnoresClose "ignores-close" "", "ignores Connection: close";
    Http10KeepAliveUnasked "http10-keep-alive-unasked" "", "keeps connections of HTTP/1.0 that did not ask for it";
    Http10KeepAliveUntold "http10-keep-alive-untold" "", "does not tell a client of HTTP/1.0 that its connection stays";
    KeepsAfterRefusal "keeps-after-refusal" "", "goes on after a malformed request";
    ClosesAfterRefusal "closes-after-refusal" "", "closes after every refusal, a 404 too";
    CloseUnannounced "close-unannounced" "", "closes without Connection: close";

    // the end of a connection
    HalfCloseLosesAnswer "half-close-loses-answer" "", "takes a client that has closed its sending side for gone";
    ResetsInsteadOfFinishing "resets-instead-of-finishing" "", "closes at once after the last answer, with input unread";
    LingersWithoutShutdown "lingers-without-shutdown" "", "reads on after the last answer without closing its own side";
    LingersForEver "lingers-for-ever" "", "reads on after the last answer as long as anything comes";
    ShortWrite "short-write" "", "believes that one write sends everything";

    // deadlines
    NoIdleDeadline "no-idle-deadline" "", "lets a client be idle for ever";
    IdleDeadlineFromAccept "idle-deadline-from-accept" "", "counts idle time from the beginning of the connection";
    IdleDeadlineSpeaks "idle-deadline-speaks" "", "says 408 to a client that has sent nothing";
    NoHeadDeadline "no-head-deadline" "", "waits for the rest of a head for ever";
    HeadDeadlinePerByte "head-deadline-per-byte" "", "begins the head's time again with every byte";
    SilentTimeout "silent-timeout" "", "closes without a 408 when a request is not complete in time";
    NoBodyDeadline "no-body-deadline" "", "waits for the rest of a content for ever";
    BodyDeadlinePerByte "body-deadline-per-byte" "", "begins the content's time again with every byte";
    NoBodyRate "no-body-rate" "", "does not ask for --body-rate";
    NoWriteDeadline "no-write-deadline" "", "waits for a client that does not read for ever";
    WriteDeadlinePerByte "write-deadline-per-byte" "", "begins the answer's time again with every byte that leaves";

    // answers
    HeadWithBody "head-with-body" "", "answers HEAD with a content";
    RefusedHeadWithBody "refused-head-with-body" "", "answers a refused HEAD with a content";
    HeadZeroLength "head-zero-length" "", "answers HEAD with Content-Length: 0";
    NotModifiedWithBody "not-modified-with-body" "", "answers 304 with a content";
    NotModifiedWithoutTag "not-modified-without-tag" "", "answers 304 without ETag";
    RefusalWithoutAllow "refusal-without-allow" "", "answers 405 without Allow";
    CountsCharacters "counts-characters" "", "counts characters, not bytes, for Content-Length";
    NoDate "no-date" "", "answers without Date";

    // files
    PrefixOfRoot "prefix-of-root" "", "takes every path that begins with the root's text for one inside";
    FollowsLinksOut "follows-links-out" "", "follows a symbolic link out of the root";
    DotsCheckedEncoded "dots-checked-encoded" "", "looks for .. before it decodes";
    DecodesTwice "decodes-twice" "", "decodes a path twice";
    NeverDecodes "never-decodes" "", "does not decode a path";
    LaxPercent "lax-percent" "", "takes a percent sign without two digits for itself";
    EncodedSlash "encoded-slash" "", "takes %2F for a slash";
    NulEndsName "nul-ends-name" "", "ends a name at %00";
    JoinsAbsolute "joins-absolute" "", "serves //etc/passwd, as joining an absolute path begins at the top";
    ServesDotfiles "serves-dotfiles" "", "serves .git/config";
    OpensFifo "opens-fifo" "", "opens a named pipe and waits for somebody to write to it";
    ListsDirectories "lists-directories" "", "lists a directory that has no index.html";
    NoRedirect "no-redirect" "", "serves a directory's index.html without the slash";
    RedirectLosesQuery "redirect-loses-query" "", "redirects without the query";
    SlashBehindFile "slash-behind-file" "", "serves a file with a slash behind its name";
    NoContentType "no-content-type" "", "says application/octet-stream for every file";

    // conditions and ranges
    IfMatchIgnored "if-match-ignored" "", "ignores If-Match";
    IfUnmodifiedSinceIgnored "if-unmodified-since-ignored" "", "ignores If-Unmodified-Since";
    NoneMatchWhole "none-match-whole" "", "compares the whole If-None-Match, not its elements";
    NoneMatchStrong "none-match-strong" "", "does not find W/\"x\" to match \"x\" in If-None-Match";
    NoneMatchStar "none-match-star" "", "does not know If-None-Match: *";
    DateBeatsTag "date-beats-tag" "", "answers 304 by the date though If-None-Match does not match";
    SameSecondModified "same-second-modified" "", "takes a file of exactly that date for modified since";
    IfRangeIgnored "if-range-ignored" "", "sends a part of a file that has changed, despite If-Range";
    WeakEtag "weak-etag" "", "sends a weak ETag";
    ConstantEtag "constant-etag" "", "keeps a file's ETag when its content changes";
    RangeOffByOne "range-off-by-one" "", "leaves the last byte of a range out";
    SuffixAsPrefix "suffix-as-prefix" "", "takes bytes=-10 for bytes=0-10";
    LongRangeRefused "long-range-refused" "", "refuses a range whose end is beyond the file's";
    FirstOfRanges "first-of-ranges" "", "answers the first of several ranges as if it were the only one";
    BackwardRange "backward-range" "", "answers bytes=9-0 with 416";
    PartialUnsatisfiable "partial-unsatisfiable" "", "answers 206 to a range that cannot be satisfied";
    UnsatisfiableWithoutLength "unsatisfiable-without-length" "", "answers 416 without Content-Range";
}
