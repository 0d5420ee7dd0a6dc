//! The transaction that is being read, where it stands in the binlog, and what of it was published before.

use std::fmt;
use std::sync::Arc;

use crate::batch::Open;
use crate::event::{ARTIFICIAL_FLAG, Event};
use crate::fault::{Fault, Result};

const WRAP: u64 = 1 << 32;

/// File and position, in 64 bits: the header's position wraps at 4 GiB, which one transaction can pass.
#[derive(Default, Clone)]
pub struct Coordinates {
    pub file: String,
    pub start: u64,
    pub end: u64,
}

impl Coordinates {
    /// The next event is at `pos` of `file`.
    pub fn rotate(&mut self, file: String, pos: u64) {
        *self = Coordinates { file, start: pos, end: pos };
    }

    /// Go past an event. Artificial ones stand in no file; their position is 0.
    pub fn advance(&mut self, event: &Event) {
        if event.flags & ARTIFICIAL_FLAG != 0 || event.log_pos == 0 {
            return;
        }
        let end = self.end - self.end % WRAP + u64::from(event.log_pos);
        self.end = if end < self.end { end + WRAP } else { end };
        self.start = self.end.saturating_sub(u64::from(event.size));
    }
}

impl fmt::Display for Coordinates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.start)
    }
}

/// True if a file and position come before others of the same server: files are numbered, `bin.000001`.
pub fn is_behind(file: &str, pos: u64, other_file: &str, other_pos: u64) -> bool {
    let (Some((name, number)), Some((other_name, other_number))) = (file.rsplit_once('.'), other_file.rsplit_once('.'))
    else {
        return false;
    };
    match (number.parse::<u64>(), other_number.parse::<u64>()) {
        (Ok(number), Ok(other)) if name == other_name => (number, pos) < (other, other_pos),
        _ => false,
    }
}

/// One transaction: who and when, what of it was read, and the counts that its events carry.
/// `event` and `row` count rows events, and rows of the one being read, over all tables. `first_row`: the number of its
/// first one among those of the event of the file that it is in, which is not itself if it was compressed.
#[derive(Default)]
pub struct Transaction {
    pub gtid: String,
    place: String, // of one without a GTID
    pub commit_us: u64,
    pub thread: u32,
    pub event: u64,
    pub row: u64,
    pub first_row: u64,
    pub total: u64,
    orders: Vec<(Arc<str>, u64)>,
    pub begun: bool,
    pub captured: bool,
    pub xa: bool,
}

impl Transaction {
    pub fn new(gtid: String, commit_us: u64, at: &Coordinates) -> Transaction {
        let place = if gtid.is_empty() { at.to_string() } else { String::new() };
        Transaction { gtid, place, commit_us, ..Transaction::default() }
    }

    /// The GTID, or the place where it begins.
    pub fn id(&self) -> &str {
        or(&self.gtid, &self.place)
    }

    /// A rows event was dealt with; `inside`: it has no place of its own in the file, but is one of a payload's.
    pub fn next_event(&mut self, inside: bool) {
        self.event += 1;
        self.first_row += if inside { self.row } else { 0 };
        self.row = 0;
    }

    /// How many events there are so far, in all and of one topic.
    pub fn count(&mut self, topic: &Arc<str>, total: u64, order: u64) {
        self.total = total;
        match self.place_of(topic) {
            Some(place) => self.orders[place].1 = order,
            None => self.orders.push((topic.clone(), order)),
        }
    }

    /// How many events of a topic there are so far.
    pub fn order(&self, topic: &Arc<str>) -> u64 {
        self.place_of(topic).map_or(0, |place| self.orders[place].1)
    }

    fn place_of(&self, topic: &Arc<str>) -> Option<usize> {
        // Few topics a transaction, and the latest is the likeliest.
        self.orders.iter().rposition(|(known, _)| Arc::ptr_eq(known, topic) || known == topic)
    }

    pub fn open(&self) -> Open {
        Open { gtid: self.gtid.clone(), event: self.event, row: self.row }
    }
}

/// What of a transaction was published before an interruption.
pub struct Skip(pub Option<Open>);

impl Skip {
    /// True if what comes before a rows event, given by its ordinal, was dealt with.
    pub fn covers(&self, event: u64) -> bool {
        self.0.as_ref().is_some_and(|open| (event, 0) < (open.event, open.row))
    }

    /// The first transaction after a resume has to be the one that was open.
    pub fn begin(&self, gtid: &str) -> Result<()> {
        match &self.0 {
            Some(open) if open.gtid != gtid => Err(Box::new(Fault::PositionLost {
                what: format!(
                    "the transaction {}, published in part, does not come next; {} does",
                    or(&open.gtid, "(anonymous)"),
                    or(gtid, "an anonymous one")
                ),
                hint: "The server is another one, or its binlogs were reset. Resume it there from its start, or reset.",
            })),
            _ => Ok(()),
        }
    }

    /// How many rows of a rows event were published; None: all of them.
    pub fn rows(&mut self, event: u64) -> Option<u64> {
        let Some(open) = &self.0 else { return Some(0) };
        if event < open.event {
            return None;
        }
        let row = if event == open.event { open.row } else { 0 };
        self.0 = None;
        Some(row)
    }

    /// The transaction has ended; all that was published must have been in it.
    pub fn finish(&mut self, events: u64) -> Result<()> {
        match self.0.take() {
            Some(open) if open.event > events || (open.event == events && open.row > 0) => {
                Err(Box::new(Fault::PositionLost {
                    what: format!(
                        "the transaction {} has {events} rows events, though more than {} of it were published",
                        or(&open.gtid, "(anonymous)"),
                        open.event
                    ),
                    hint: "The binlog is not the one that was read before. Say where to go on: `tidemark cdc position \
                           reset --to …`, and rewrite the rows that `tidemark audit run --against mysql` names.",
                }))
            }
            _ => Ok(()),
        }
    }
}

fn or<'a>(text: &'a str, instead: &'a str) -> &'a str {
    if text.is_empty() { instead } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(log_pos: u32) -> Event<'static> {
        Event { kind: 30, timestamp: 0, server_id: 1, size: 100, log_pos, flags: 0, body: &[] }
    }

    #[test]
    fn positions_pass_4_gib() {
        let mut at = Coordinates { file: "bin.1".into(), start: WRAP - 200, end: WRAP - 200 };
        at.advance(&event((WRAP - 100) as u32));
        assert_eq!(at.end, WRAP - 100);
        at.advance(&event(50));
        assert_eq!((at.start, at.end), (WRAP - 50, WRAP + 50));
    }

    #[test]
    fn what_was_published_is_skipped_once() {
        let mut skip = Skip(Some(Open { gtid: "a:1".into(), event: 2, row: 3 }));
        assert!(skip.covers(2) && !skip.covers(3) && skip.begin("a:1").is_ok() && skip.begin("a:2").is_err());
        assert_eq!((skip.rows(1), skip.rows(2), skip.rows(3)), (None, Some(3), Some(0)));
        assert!(!skip.covers(0));
        let mut shorter = Skip(Some(Open { gtid: "a:1".into(), event: 2, row: 3 }));
        assert!(shorter.finish(2).is_err());
    }

    #[test]
    fn files_are_numbered() {
        assert!(is_behind("bin.000001", 900, "bin.000002", 4));
        assert!(is_behind("bin.999999", 4, "bin.1000000", 4));
        assert!(!is_behind("bin.000002", 4, "bin.000002", 4));
        assert!(!is_behind("other.000001", 4, "bin.000002", 4));
    }
}
