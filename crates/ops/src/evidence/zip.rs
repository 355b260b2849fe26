//! Archives in which every byte counts: ZIP without compression, in the one form that is written here.
//!
//! Lives here: writing and reading that form. May not: knowing what the members are.
//! Invariant: header fields that could vary do not: stored, no flags, 1 January 1980, no comment, no extra field, the
//! directory in the order of the members. So one changed byte anywhere is found, in headers and in the directory as well.

use std::io::{self, Read, Seek, SeekFrom, Write};

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
/// 1 January 1980, midnight, as DOS writes it.
const DATE: u16 = 0x0021;
/// Version 1.0 of the format: what is stored needs no more.
const VERSION: u16 = 10;
/// Bytes of a local header before the name.
const HEADER: usize = 30;
/// The longest name of a member.
const LONGEST_NAME: usize = 512;

/// A member and where its content begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub name: String,
    pub at: u64,
    pub bytes: u64,
    header_at: u64,
    crc: u32,
}

impl Member {
    fn fields(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(26);
        for n in [VERSION, 0, 0, 0, DATE] {
            out.extend(n.to_le_bytes());
        }
        for n in [self.crc, self.bytes as u32, self.bytes as u32] {
            out.extend(n.to_le_bytes());
        }
        out.extend((self.name.len() as u16).to_le_bytes());
        out.extend(0_u16.to_le_bytes());
        out
    }

    fn local(&self) -> Vec<u8> {
        [&LOCAL.to_le_bytes()[..], &self.fields(), self.name.as_bytes()].concat()
    }

    fn central(&self) -> Vec<u8> {
        // Comment, disk, attributes: all zero; then where the local header stands.
        let rest = [&[0_u8; 10][..], &(self.header_at as u32).to_le_bytes(), self.name.as_bytes()].concat();
        [&CENTRAL.to_le_bytes()[..], &VERSION.to_le_bytes(), &self.fields(), &rest].concat()
    }
}

/// The directory at the end of an archive.
fn directory(members: &[Member], at: u64) -> Vec<u8> {
    let mut out: Vec<u8> = members.iter().flat_map(Member::central).collect();
    let (bytes, n) = (out.len() as u32, members.len() as u16);
    out.extend(END.to_le_bytes());
    for v in [0, 0, n, n] {
        out.extend(u16::to_le_bytes(v));
    }
    out.extend(bytes.to_le_bytes());
    out.extend((at as u32).to_le_bytes());
    out.extend(0_u16.to_le_bytes());
    out
}

/// An archive while it is written.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    at: u64,
    members: Vec<Member>,
}

impl<W: Write> Writer<W> {
    pub fn new(out: W) -> Self {
        Self { out, at: 0, members: Vec::new() }
    }

    /// Adds a member.
    ///
    /// # Errors
    /// `FileTooLarge` beyond what the format can hold: 4 GiB and 65,535 members.
    pub fn add(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let crc = crc32fast::hash(content);
        let member = Member { name: name.to_owned(), at: self.at + (HEADER + name.len()) as u64, bytes: content.len() as u64, header_at: self.at, crc };
        let end = member.at + member.bytes;
        if end > u64::from(u32::MAX) || self.members.len() >= usize::from(u16::MAX) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.out.write_all(&member.local())?;
        self.out.write_all(content)?;
        self.at = end;
        self.members.push(member);
        Ok(())
    }

    /// Writes the directory. How many bytes the archive has.
    pub fn finish(mut self) -> io::Result<(W, u64)> {
        let directory = directory(&self.members, self.at);
        self.out.write_all(&directory)?;
        self.out.flush()?;
        Ok((self.out, self.at + directory.len() as u64))
    }
}

/// What an archive holds, and where it is not as it is written here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    pub members: Vec<Member>,
    /// The member, or nothing for the directory; and what is wrong.
    pub faults: Vec<(String, String)>,
}

/// Reads the headers of an archive from its beginning to its end.
pub fn open<R: Read + Seek>(from: &mut R) -> io::Result<Opened> {
    let size = from.seek(SeekFrom::End(0))?;
    let mut out = Opened::default();
    let mut at = 0;
    loop {
        from.seek(SeekFrom::Start(at))?;
        let mut head = [0_u8; HEADER];
        let whole = size - at >= HEADER as u64;
        if whole {
            from.read_exact(&mut head)?;
        }
        if !whole || !head.starts_with(&LOCAL.to_le_bytes()) {
            break;
        }
        let number = |i: usize| u32::from_le_bytes([head[i], head[i + 1], head[i + 2], head[i + 3]]);
        let (bytes, length) = (u64::from(number(18)), usize::from(u16::from_le_bytes([head[26], head[27]])));
        let start = at + (HEADER + length) as u64;
        let mut name = vec![0_u8; length.min(LONGEST_NAME)];
        if length > LONGEST_NAME || start + bytes > size {
            out.faults.push((last(&out.members), format!("the header at byte {at} was changed: what it names does not fit into the archive")));
            return Ok(out);
        }
        from.read_exact(&mut name)?;
        let name = String::from_utf8_lossy(&name).into_owned();
        let member = Member { name: name.clone(), at: start, bytes, header_at: at, crc: number(14) };
        let want = member.local();
        if let Some(n) = head.iter().zip(&want).position(|(a, b)| a != b) {
            out.faults.push((name.clone(), format!("byte {} of the archive, in its header, was changed", at + n as u64)));
        }
        if out.members.iter().any(|m| m.name == name) {
            out.faults.push((name, "stands in the archive twice".to_owned()));
        }
        at = start + bytes;
        out.members.push(member);
    }
    let want = directory(&out.members, at);
    from.seek(SeekFrom::Start(at))?;
    let mut have = Vec::new();
    from.take(want.len() as u64 + 1).read_to_end(&mut have)?;
    if have != want {
        let n = have.iter().zip(&want).position(|(a, b)| a != b).unwrap_or(have.len().min(want.len()));
        out.faults.push((
            String::new(),
            format!("byte {} of the archive, in its directory, was changed, or the archive was cut or written by another program", at + n as u64),
        ));
    }
    Ok(out)
}

fn last(members: &[Member]) -> String {
    members.last().map(|m| m.name.clone()).unwrap_or_default()
}

/// The content of a member. That it fits its checksum is found here.
pub fn content<R: Read + Seek>(from: &mut R, member: &Member) -> io::Result<Vec<u8>> {
    from.seek(SeekFrom::Start(member.at))?;
    let mut out = Vec::new();
    from.take(member.bytes).read_to_end(&mut out)?;
    Ok(out)
}

/// Whether a content fits the checksum of its member.
pub fn fits(member: &Member, content: &[u8]) -> bool {
    content.len() as u64 == member.bytes && crc32fast::hash(content) == member.crc
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn archive() -> Vec<u8> {
        let mut w = Writer::new(Vec::new());
        w.add("a.txt", b"hello").unwrap();
        w.add("b/c.txt", b"").unwrap();
        w.add("b/d.txt", &[7; 300]).unwrap();
        let (out, bytes) = w.finish().unwrap();
        assert_eq!(out.len() as u64, bytes);
        out
    }

    #[test]
    fn what_was_written_is_read() {
        let mut from = Cursor::new(archive());
        let opened = open(&mut from).unwrap();
        assert_eq!(opened.faults, []);
        let all: Vec<_> = opened.members.iter().map(|m| (m.name.as_str(), content(&mut from, m).unwrap())).collect();
        assert_eq!(all, [("a.txt", b"hello".to_vec()), ("b/c.txt", Vec::new()), ("b/d.txt", vec![7; 300])]);
        assert!(opened.members.iter().zip(&all).all(|(m, (_, c))| fits(m, c)));
    }

    #[test]
    fn every_single_byte_counts() {
        let good = archive();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let mut from = Cursor::new(bad);
            let opened = open(&mut from).unwrap();
            let damaged = opened.members.iter().any(|m| content(&mut from, m).is_ok_and(|c| !fits(m, &c)));
            assert!(damaged || !opened.faults.is_empty(), "byte {at}");
        }
        for end in 0..good.len() {
            assert!(!open(&mut Cursor::new(&good[..end])).unwrap().faults.is_empty(), "cut at {end}");
        }
        let longer = [good, vec![0]].concat();
        assert!(!open(&mut Cursor::new(longer)).unwrap().faults.is_empty());
    }
}
