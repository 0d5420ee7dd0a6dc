//! One row of a rows event, written as the beginning of its event.

use crate::table::Image;

pub const BEFORE: &[u8] = b"{\"before\":";
pub const AFTER: &[u8] = b",\"after\":";

/// Where a row's event begins in a buffer, and its images, which most events are made of as they stand there.
#[derive(Default)]
pub struct Row {
    pub start: usize,
    pub before: Image,
    pub after: Image,
    pub undecodable: Vec<usize>,
}

impl Row {
    /// Takes what was written out of its buffer: from now on the images stand in what is given.
    pub fn lift(&mut self, buffer: &mut Vec<u8>) -> Vec<u8> {
        let lifted = buffer.split_off(self.start);
        for image in [&mut self.before, &mut self.after] {
            image.shift(self.start);
        }
        self.start = 0;
        lifted
    }
}
