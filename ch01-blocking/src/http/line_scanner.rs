//! The lines of a head, found before anybody asks what they say.

use memchr::memchr_iter;

/// What is known of a head that may still be arriving. Every byte is looked at once.
#[derive(Debug, Default)]
pub(super) struct LineScanner {
    /// So many bytes have been looked at.
    searched: usize,
    /// Where the first line ends: the place of its LF.
    pub(super) first: Option<usize>,
    /// The length of all the lines that are complete.
    pub(super) complete: usize,
    /// Whether a line ends with LF alone.
    pub(super) bare_lf: bool,
    /// The length of the head, once the empty line behind it has come.
    pub(super) head: Option<usize>,
}

impl LineScanner {
    /// Looks at what has come since the last time; `bytes` begin where they did then.
    pub(super) fn search(&mut self, bytes: &[u8]) {
        for newline in memchr_iter(b'\n', &bytes[self.searched..]) {
            let newline = self.searched + newline;
            let line = &bytes[self.complete..=newline];
            self.complete = newline + 1;
            self.bare_lf |= !line.ends_with(b"\r\n");
            match self.first {
                None => self.first = Some(newline),
                Some(_) if matches!(line, b"\n" | b"\r\n") => {
                    self.head = Some(self.complete);
                    return;
                }
                Some(_) => {}
            }
        }
        self.searched = bytes.len();
    }
}
