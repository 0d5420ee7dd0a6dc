//! Which keys are new for certain: a Bloom filter whose bits of one key lie in one line of the processor's cache.

use xxhash_rust::xxh3::xxh3_64;

const BITS_A_KEY: usize = 16; // of a thousand new keys, three look as if they had been there
const BITS_OF_A_KEY: u32 = 6;
const MOST_BLOCKS: usize = 1 << 20; // 64 MiB
const BLOCK_BITS: usize = 512;

type Block = [u64; BLOCK_BITS / 64];

pub struct Seen {
    blocks: Vec<Block>,
}

impl Seen {
    /// `keys`: how many there will be, about.
    pub fn new(keys: usize) -> Seen {
        let blocks = (keys.saturating_mul(BITS_A_KEY) / BLOCK_BITS).clamp(1, MOST_BLOCKS);
        Seen { blocks: vec![[0; 8]; blocks] }
    }

    /// Remember a key; true if it may have been there before, false if it certainly was not.
    pub fn again(&mut self, key: &[u8]) -> bool {
        let hash = xxh3_64(key);
        let place = ((hash >> 32) * self.blocks.len() as u64) >> 32;
        let block = &mut self.blocks[place as usize];
        let mut bits = (hash & 0xffff_ffff).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut known = true;
        for _ in 0..BITS_OF_A_KEY {
            let (word, bit) = ((bits >> 61) as usize, 1 << (bits >> 55 & 63));
            known &= block[word] & bit != 0;
            block[word] |= bit;
            bits <<= 9;
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_was_there_and_little_else() {
        let mut seen = Seen::new(10_000);
        let again = (0..10_000_u32).filter(|number| seen.again(&number.to_be_bytes())).count();
        assert!(again < 100, "{again}");
        assert!((0..10_000_u32).all(|number| seen.again(&number.to_be_bytes())));
    }

    #[test]
    fn knows_what_was_there_also_if_there_is_more_than_it_was_made_for() {
        let mut seen = Seen::new(0);
        for number in 0..10_000_u32 {
            seen.again(&number.to_be_bytes());
        }
        assert!((0..10_000_u32).all(|number| seen.again(&number.to_be_bytes())));
    }
}
