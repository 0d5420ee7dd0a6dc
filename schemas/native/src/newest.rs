//! Which of several records of a key is the last.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// A key, and a hash of it that is known already.
#[derive(PartialEq, Eq)]
struct Known<'a> {
    hash: u64,
    key: &'a [u8],
}

impl Hash for Known<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

#[derive(Default)]
struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("only known hashes are hashed")
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Of keys with their hashes: whether each is the last that is equal to it.
pub fn last<'a>(keys: impl ExactSizeIterator<Item = (u64, &'a [u8])>) -> Vec<bool> {
    let mut found = HashMap::with_capacity_and_hasher(keys.len(), BuildHasherDefault::<Same>::default());
    let mut last = vec![true; keys.len()];
    for (number, (hash, key)) in keys.enumerate() {
        if let Some(before) = found.insert(Known { hash, key }, number) {
            last[before] = false;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_last() {
        let keys = ["a", "b", "a", "c", "b", "a"].map(|key| (7, key.as_bytes()));
        assert_eq!(last(keys.into_iter()), [false, false, false, true, true, true]);
    }
}
