//! What has been carried, and telling it: by a bar on a terminal, else by lines. All of it on standard error;
//! the summary goes to standard output.

use std::io::{IsTerminal as _, Write as _};

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Messages between two lines.
const LINE: u64 = 1000;

/// Counts of a transfer.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    bar: Option<ProgressBar>,
    quiet: bool,
    mailbox: String,
    /// Carried in this mailbox.
    here: u64,
    pub(crate) mailboxes: u64,
    pub(crate) messages: u64,
    pub(crate) octets: u64,
    pub(crate) skipped: u64,
    pub(crate) failed: u64,
}

impl Tally {
    /// Tells progress.
    pub(crate) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
            bar.set_style(style("{spinner} {pos} messages  {wide_msg}"));
            bar
        });
        Self { bar, ..Self::default() }
    }

    /// Only counts.
    #[cfg(test)]
    #[cfg(feature = "memory")]
    pub(crate) fn quiet() -> Self {
        Self { quiet: true, ..Self::default() }
    }

    /// How many messages there will be, if that is known.
    pub(crate) fn expect(&self, messages: Option<u64>) {
        if let (Some(bar), Some(messages)) = (&self.bar, messages) {
            bar.set_length(messages);
            bar.set_style(style("[{bar:30}] {pos}/{len} messages, {eta} left  {wide_msg}"));
        }
    }

    /// A mailbox begins.
    pub(crate) fn begin(&mut self, mailbox: &str) {
        mailbox.clone_into(&mut self.mailbox);
        self.here = 0;
        if let Some(bar) = &self.bar {
            bar.set_message(shown(mailbox));
        }
    }

    /// The mailbox ends.
    pub(crate) fn end(&mut self) {
        self.mailboxes += 1;
        self.line(&format!("{}: {}", self.mailbox, number(self.here, "message", "messages")));
    }

    /// A message has been carried.
    pub(crate) fn carried(&mut self, octets: u64) {
        self.messages += 1;
        self.octets += octets;
        self.step();
    }

    /// A message is there already.
    pub(crate) fn skipped(&mut self) {
        self.skipped += 1;
        self.step();
    }

    /// All messages of a mailbox are there already.
    pub(crate) fn passed_over(&mut self, messages: u64) {
        self.skipped += messages;
        if let Some(bar) = &self.bar {
            bar.inc(messages);
        }
    }

    /// A message is left out.
    pub(crate) fn failed(&mut self, name: &str, why: &str) {
        self.failed += 1;
        self.say(&format!("{}: {name}: {why}; left out", self.mailbox));
    }

    /// A mailbox is left out.
    pub(crate) fn left_out(&mut self, mailbox: &str, why: &str) {
        self.failed += 1;
        self.say(&format!("mailbox {mailbox}: {why}; left out"));
    }

    /// Says what is good to know.
    pub(crate) fn say(&self, what: &str) {
        match &self.bar {
            _ if self.quiet => {}
            Some(bar) => bar.println(format!("imapper: {}", shown(what))),
            None => write_line(what),
        }
    }

    /// What has been done, in one line: `verb` is "imported", "exported".
    pub(crate) fn summary(&self, verb: &str) -> String {
        format!(
            "{verb} {}, {}, {} octets ({}); {} skipped (there already), {} failed",
            number(self.mailboxes, "mailbox", "mailboxes"),
            number(self.messages, "message", "messages"),
            self.octets,
            HumanBytes(self.octets),
            self.skipped,
            self.failed
        )
    }

    /// No more bar.
    pub(crate) fn stop(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn step(&mut self) {
        self.here += 1;
        if let Some(bar) = &self.bar {
            bar.inc(1);
        } else if self.here.is_multiple_of(LINE) {
            self.line(&format!("{}: {} messages so far", self.mailbox, self.here));
        }
    }

    /// A line of progress, where there is no bar.
    fn line(&self, line: &str) {
        if self.bar.is_none() && !self.quiet {
            write_line(line);
        }
    }
}

fn number(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn write_line(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "imapper: {}", shown(line));
}

/// What may be written to a terminal: a file's name could hold sequences that steer it, or lines of its own.
fn shown(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_steer_the_terminal() {
        assert_eq!(shown("Entwürfe \u{1b}[2J\n"), "Entwürfe \\u{1b}[2J\\n");
    }
}
