//! How far reading is: the latest event's place, and up to where everything was dealt with.

use crate::batch::{Open, Position};
use crate::event::{self, ARTIFICIAL_FLAG, Event, kind};
use crate::fault::Result;
use crate::gtid::GtidSet;
use crate::transaction::{Coordinates, is_behind};

pub const FARTHEST_START: u64 = (1 << 32) - 1;

pub struct Progress {
    pub at: Coordinates,
    /// Something changed since the latest position was given.
    pub moved: bool,
    gtids: GtidSet,
    first: bool, // no transaction has ended yet, begun by file
    no_gtid_before: bool,
    file: String, // a reader may begin again here
    pos: u64,
    pass_until: u64,
}

impl Progress {
    /// `no_gtid_before`: an empty GTID set is all there was before the start, and not merely unknown.
    pub fn new(start: &Position, no_gtid_before: bool) -> Result<Progress> {
        // A dump cannot be asked to start past 4 GiB: then it starts at the file's beginning, and this much is passed.
        let far = start.gtid_set.is_empty() && start.pos > FARTHEST_START;
        Ok(Progress {
            at: Coordinates { file: start.file.clone(), start: start.pos, end: start.pos },
            moved: false,
            gtids: GtidSet::parse(&start.gtid_set)?,
            first: start.gtid_set.is_empty(),
            no_gtid_before,
            file: start.file.clone(),
            pos: start.pos,
            pass_until: if far { start.pos } else { 0 },
        })
    }

    /// Go past an event; true if it comes before the start, and is to be passed over.
    pub fn advance(&mut self, event: &Event) -> bool {
        self.at.advance(event);
        if self.at.end > self.pass_until || matches!(event.kind, kind::ROTATE | kind::FORMAT_DESCRIPTION) {
            return false;
        }
        self.breathe(); // it takes a while
        true
    }

    /// A transaction has ended here. Begun by file in mid-history, the position stays one by file: a set without a
    /// beginning would ask for all of it again.
    pub fn executed(&mut self, gtid: &str) {
        let first = std::mem::take(&mut self.first);
        if !gtid.is_empty() && (!self.gtids.is_empty() || (first && self.no_gtid_before)) {
            self.gtids.add(gtid);
            self.moved = true;
        }
    }

    /// Everything up to the latest event's end was dealt with.
    pub fn settle(&mut self) {
        let at = std::mem::take(&mut self.at);
        self.set(&at.file, at.end);
        self.at = at;
    }

    /// The stream flows though nothing comes: a batch says so, even where the position has not moved.
    pub fn breathe(&mut self) {
        self.moved = true;
    }

    /// A ROTATE event. `between`: no transaction is open. True if the dump thread made it up to name the file.
    pub fn rotate(&mut self, event: &Event, between: bool) -> Result<bool> {
        let (file, pos) = event::parse_rotate(event.body)?;
        let made_up = event.flags & ARTIFICIAL_FLAG != 0;
        if file != self.at.file {
            self.pass_until = 0; // the next one has none of what is passed
        }
        if !made_up && between {
            self.pass(&file, pos);
        }
        if !made_up || file != self.at.file || pos < self.at.end {
            self.at.rotate(file, pos);
        }
        Ok(made_up)
    }

    /// Nothing was logged for a while, or what was is in our GTID set: all up to there has been read.
    pub fn heartbeat(&mut self, event: &Event, between: bool) -> Result<()> {
        let file = event::text(event.body)?;
        let pos = u64::from(event.log_pos);
        let behind = file == self.at.file && pos < self.at.end;
        if pos > 0 && !behind {
            if between {
                self.pass(&file, pos);
            }
            self.at.rotate(file, pos);
        }
        Ok(())
    }

    /// The position to give away; the server's UUID is not known here.
    pub fn position(&mut self, seq: u64, open: Option<Open>) -> Position {
        self.moved = false;
        Position {
            server_uuid: String::new(),
            gtid_set: self.gtids.to_string(),
            file: self.file.clone(),
            pos: self.pos,
            seq,
            open,
        }
    }

    /// Nothing of interest up to there. Asked by GTID, the dump goes over what is long done: that is no move.
    fn pass(&mut self, file: &str, pos: u64) {
        if !is_behind(file, pos, &self.file, self.pos) {
            self.set(file, pos);
        }
    }

    fn set(&mut self, file: &str, pos: u64) {
        if self.file != file {
            file.clone_into(&mut self.file);
            self.moved = true;
        }
        self.moved |= self.pos != pos;
        self.pos = pos;
    }
}
