//! The recovery key as people write it down: eleven groups of five letters and digits.
//!
//! Lives here: 32 bytes with a checksum, in Crockford's alphabet, which has no I, L, O and U. May not: what a key opens.
//! Invariant: one wrong or swapped character is noticed; a key never shows in a log.

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// 32 bytes and two of a checksum make 272 bits, at five a character.
const LENGTH: usize = 55;
const GROUP: usize = 5;

/// The secret that opens what copies of Holdfast hold sealed.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryKey([u8; 32]);

impl std::fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[recovery key]")
    }
}

/// Why a text is no recovery key. It never holds a part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    #[error("a recovery key has 55 letters and digits in 11 groups; this has {0}")]
    Length(usize),
    #[error("character {0} of the recovery key is neither a letter nor a digit that it can hold")]
    Character(usize),
    #[error("the recovery key has a mistake in it: its checksum does not fit; compare it with the paper, letter by letter")]
    Checksum,
}

impl RecoveryKey {
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The form for paper.
    pub fn text(&self) -> String {
        let mut bits: Vec<bool> = Vec::with_capacity(LENGTH * 5);
        for byte in self.0.iter().chain(&checksum(&self.0).to_be_bytes()) {
            bits.extend((0..8).rev().map(|n| byte >> n & 1 == 1));
        }
        bits.resize(LENGTH * 5, false);
        let mut out = String::with_capacity(LENGTH + LENGTH / GROUP);
        for (n, five) in bits.chunks(5).enumerate() {
            if n > 0 && n % GROUP == 0 {
                out.push('-');
            }
            let value = five.iter().fold(0, |sum, bit| sum << 1 | usize::from(*bit));
            out.push(char::from(ALPHABET[value]));
        }
        out
    }

    /// Reads what a person typed: letter case, dashes and spaces do not count, and O is 0, I and L are 1.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, BadKey> {
        let mut bits: Vec<bool> = Vec::with_capacity(LENGTH * 5);
        let plain: Vec<char> = text.chars().filter(|c| !c.is_whitespace() && *c != '-').map(|c| c.to_ascii_uppercase()).collect();
        if plain.len() != LENGTH {
            return Err(BadKey::Length(plain.len()));
        }
        for (n, c) in plain.into_iter().enumerate() {
            let c = match c {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            let value = ALPHABET.iter().position(|a| char::from(*a) == c).ok_or(BadKey::Character(n + 1))?;
            bits.extend((0..5).rev().map(|n| value >> n & 1 == 1));
        }
        let bytes: Vec<u8> = bits.chunks(8).take(34).map(|eight| eight.iter().fold(0, |sum, bit| sum << 1 | u8::from(*bit))).collect();
        let key: [u8; 32] = bytes[..32].try_into().map_err(|_| BadKey::Checksum)?;
        let rest_is_empty = bits[34 * 8..].iter().all(|bit| !bit);
        if bytes[32..] == checksum(&key).to_be_bytes() && rest_is_empty { Ok(Self(key)) } else { Err(BadKey::Checksum) }
    }
}

/// CRC-16/CCITT-FALSE, which notices every burst of up to 16 bits.
fn checksum(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |mut crc, byte| {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
        }
        crc
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_from_paper() {
        let key = RecoveryKey::new(std::array::from_fn(|n| u8::try_from(n * 37 % 251).unwrap()));
        let text = key.text();
        assert_eq!(text.split('-').map(str::len).collect::<Vec<_>>(), [5; 11]);
        let typed = format!("  {}\n", text.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l"));
        assert_eq!(RecoveryKey::parse(&typed).unwrap(), key);
        assert_eq!(checksum(b"123456789"), 0x29b1, "the check value of CRC-16/CCITT-FALSE");
        assert!(!format!("{key:?}").contains(&text[..5]));
    }

    #[test]
    fn every_single_mistake_is_noticed() {
        let key = RecoveryKey::new([0xa5; 32]);
        let text: Vec<char> = key.text().chars().filter(|c| *c != '-').collect();
        for n in 0..text.len() {
            for other in ALPHABET.iter().map(|a| char::from(*a)).filter(|a| *a != text[n]) {
                let mut wrong = text.clone();
                wrong[n] = other;
                assert_eq!(RecoveryKey::parse(&wrong.iter().collect::<String>()), Err(BadKey::Checksum));
            }
            let mut swapped = text.clone();
            swapped.swap(n, (n + 1) % text.len());
            if swapped != text {
                assert!(RecoveryKey::parse(&swapped.iter().collect::<String>()).is_err(), "{n}");
            }
        }
        assert_eq!(RecoveryKey::parse("abc"), Err(BadKey::Length(3)));
        let mut wrong = text;
        wrong[7] = 'U';
        assert_eq!(RecoveryKey::parse(&wrong.iter().collect::<String>()), Err(BadKey::Character(8)));
    }
}
