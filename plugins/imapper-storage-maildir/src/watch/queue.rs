//! What was seen in one folder and not drained yet.

use super::Seen;

#[derive(Default)]
pub(super) struct Queue {
    seen: Vec<Seen>,
    all: bool,
}

impl Queue {
    /// A name came or went. Beyond so many names it is everything.
    pub(super) fn name(&mut self, name: String, gone: bool, most: usize) {
        if self.all {
            return;
        }
        if self.seen.len() >= most {
            self.all();
        } else {
            self.seen.push(Seen::Name { name, gone });
        }
    }

    /// Everything has to be looked at: no name that is queued says more.
    pub(super) fn all(&mut self) {
        self.all = true;
        self.seen = Vec::new();
    }

    /// Empties it.
    pub(super) fn take(&mut self) -> Vec<Seen> {
        let seen = std::mem::take(&mut self.seen);
        if std::mem::take(&mut self.all) { vec![Seen::All] } else { seen }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_too_many_is_everything_until_it_is_taken() {
        let mut queue = Queue::default();
        for name in ["a", "b"] {
            queue.name(name.to_owned(), false, 2);
        }
        assert_eq!(queue.take().len(), 2);
        for name in ["a", "b", "c", "d"] {
            queue.name(name.to_owned(), false, 2);
        }
        assert_eq!(queue.take(), [Seen::All]);
        queue.name("e".to_owned(), true, 2);
        assert_eq!(queue.take(), [Seen::Name { name: "e".to_owned(), gone: true }]);
        assert!(queue.take().is_empty());
    }
}
