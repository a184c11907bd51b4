//! The frames of an archive: separated and checked as they stream in, without decompressing.
//!
//! Source: RFC 8878. The splitter walks block headers to find where a frame ends. In an archive with a manifest it checks the
//! order and sizes of the frames, the list, the digest and the seek table.

use std::io::{self, BufReader, Read};

use sha2::{Digest as _, Sha256};

use super::error::ArchiveError;
use super::list_frame::{self, Proof, ReadList};
use super::manifest::{LARGEST_FRAME, LARGEST_MANIFEST, Manifest};
use super::seek_table::ExpectedTable;
use super::skippable::{DIGEST_MAGIC, LIST_MAGIC, MANIFEST_MAGIC, SEEK_TABLE_MAGIC};
use crate::domain::digest::Sha256Digest;

const ZSTD_MAGIC: u32 = 0xFD2F_B528;

/// The largest block of a zstd frame, compressed or not.
const LARGEST_BLOCK: usize = 128 << 10;

/// What comes next in an archive.
#[derive(Debug)]
pub(crate) enum Part {
    /// A frame of known size, whole, in the buffer given.
    Frame {
        /// Bytes that it decompresses to.
        content: usize,
    },
    /// A frame's header or one of its blocks, in the buffer given; decompresses to at most one block.
    Piece {
        /// Whether it begins a frame.
        first: bool,
        /// Whether it ends it.
        last: bool,
    },
}

/// Reads an archive part by part.
pub struct Splitter<R> {
    input: BufReader<R>,
    /// The first part, and its bytes, of an archive without a manifest.
    first: Option<(Part, Vec<u8>)>,
    check: ArchiveCheck,
    position: u64,
    manifest: Option<Manifest>,
    table: ExpectedTable,
    /// Bytes of the tar stream in the frames so far, in an archive with a manifest.
    content: u64,
    stage: Stage,
    /// A frame too large for one buffer, of which blocks are being handed out.
    open: Option<OpenFrame>,
}

/// What an archive is checked by.
enum ArchiveCheck {
    /// The digest of all bytes, here of those before the current frame.
    Whole(Sha256),
    /// The digest of its parts.
    Parts {
        /// The SHA-256 of the manifest's frame.
        manifest: Sha256Digest,
        list: ReadList,
        /// What the frame behind the list says.
        proof: Option<Proof>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Head,
    Body,
    Digested,
    Tabled,
}

#[derive(Debug, Clone, Copy)]
struct OpenFrame {
    checksum: bool,
}

/// The header of a zstd frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FrameHeader {
    /// Length of the field with the window size.
    window_length: usize,
    /// Length of the field with the content size, which follows.
    size_length: usize,
    checksum: bool,
}

impl<R: Read> Splitter<R> {
    /// Reads the manifest, or what an archive of another program has in its place. Takes no more of the input than one buffer
    /// behind it. The manifest is proven only by [`verify`](crate::archive::verify()) or [`unpack`](crate::archive::unpack()), which
    /// read on to the digest.
    pub fn behind_manifest(input: R) -> Result<Self, ArchiveError> {
        let mut splitter = Splitter {
            input: BufReader::with_capacity(256 << 10, input),
            first: None,
            check: ArchiveCheck::Whole(Sha256::new()),
            position: 0,
            manifest: None,
            table: ExpectedTable::default(),
            content: 0,
            stage: Stage::Head,
            open: None,
        };
        let mut buffer = Vec::new();
        let Some(magic) = splitter.magic(&mut buffer)? else {
            return Err(ArchiveError::damaged("it is empty"));
        };
        splitter.first = splitter.frame(magic, &mut buffer)?.map(|part| (part, buffer));
        splitter.stage = Stage::Body;
        Ok(splitter)
    }

    /// The manifest; `None` if another program made the archive.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// Bytes read so far.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The SHA-256 of the rows that the archive's list has, after a proper end; `None` if it has no list.
    pub(crate) fn list(&self) -> Option<Sha256Digest> {
        match self.check {
            ArchiveCheck::Parts { proof: Some(proof), .. } => Some(proof.list.digest),
            _ => None,
        }
    }

    /// The next part, its bytes in the buffer; `None` after a proper end.
    pub(crate) fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Option<Part>, ArchiveError> {
        if let Some((part, bytes)) = self.first.take() {
            *buffer = bytes;
            return Ok(Some(part));
        }
        loop {
            buffer.clear();
            if let Some(open) = self.open {
                return self.block(open, buffer).map(Some);
            }
            let Some(magic) = self.magic(buffer)? else { return self.finish().map(|()| None) };
            if self.stage == Stage::Tabled {
                return Err(ArchiveError::damaged("something follows its end"));
            }
            if let Some(part) = self.frame(magic, buffer)? {
                return Ok(Some(part));
            }
        }
    }

    /// The frame that begins with this magic, or its first piece; `None` for one that holds nothing of the tar stream.
    fn frame(&mut self, magic: u32, buffer: &mut Vec<u8>) -> Result<Option<Part>, ArchiveError> {
        match magic {
            ZSTD_MAGIC => self.data(buffer).map(Some),
            0x184D_2A50..=0x184D_2A5F => self.skippable(magic, buffer).map(|()| None),
            _ => Err(ArchiveError::damaged(format!("no zstd frame at byte {}", self.position))),
        }
    }

    fn finish(&self) -> Result<(), ArchiveError> {
        match (&self.manifest, self.stage) {
            (None, _) | (Some(_), Stage::Tabled) => Ok(()),
            (Some(_), _) => Err(ArchiveError::damaged("its end is missing")),
        }
    }

    fn skippable(&mut self, magic: u32, buffer: &mut Vec<u8>) -> Result<(), ArchiveError> {
        self.read(4, buffer)?;
        let length = u32::from_le_bytes(buffer[4..8].try_into().expect("four bytes")) as usize;
        let known = match magic {
            MANIFEST_MAGIC | DIGEST_MAGIC | LIST_MAGIC => length <= LARGEST_MANIFEST,
            SEEK_TABLE_MAGIC => self.manifest.is_some(),
            _ => false,
        };
        if !known {
            return self.skip(length, buffer);
        }
        if magic == SEEK_TABLE_MAGIC {
            return self.seek_table(length, buffer);
        }
        self.read(length, buffer)?;
        let payload = &buffer[8..];
        if let Some(manifest) = Manifest::of_frame(magic, payload) {
            return self.take_manifest(manifest?, buffer);
        }
        if !self.list_or_digest(magic, payload, buffer.len())? && self.manifest.is_some() {
            return Err(ArchiveError::damaged("it has a frame of an unknown kind"));
        }
        self.pass(buffer, 0)
    }

    /// Takes the manifest, of which the buffer holds the frame.
    fn take_manifest(&mut self, manifest: Manifest, buffer: &[u8]) -> Result<(), ArchiveError> {
        if self.stage != Stage::Head {
            return Err(ArchiveError::damaged("it has a manifest in its middle"));
        }
        if manifest.is_listed() {
            let list = ReadList::default();
            self.check = ArchiveCheck::Parts { manifest: Sha256Digest::of(buffer), list, proof: None };
        }
        self.manifest = Some(manifest);
        self.pass(buffer, 0)
    }

    /// Checks what a frame behind those of the tar stream holds; returns whether it is one of the archive's format.
    fn list_or_digest(&mut self, magic: u32, payload: &[u8], length: usize) -> Result<bool, ArchiveError> {
        let is_short = self.manifest.as_ref().is_some_and(|manifest| manifest.stream_bytes != self.content);
        match &mut self.check {
            ArchiveCheck::Whole(hasher) => {
                if self.manifest.is_none() && list_frame::is_of_list(magic, payload) {
                    return Err(ArchiveError::damaged("its manifest is missing"));
                }
                let Some(digest) = list_frame::digest_in(magic, payload) else {
                    return Ok(false);
                };
                if self.stage != Stage::Body || digest != &hasher.clone().finalize()[..] {
                    return Err(ArchiveError::damaged("its digest does not match"));
                }
                self.stage = Stage::Digested;
            }
            ArchiveCheck::Parts { list, .. } if magic == LIST_MAGIC => {
                let Some(columns) = list_frame::columns(payload) else { return Ok(false) };
                if self.stage != Stage::Body {
                    return Err(ArchiveError::damaged("its list is not behind its frames"));
                }
                list.take(columns, self.position, length)?;
            }
            ArchiveCheck::Parts { list, proof, .. } => {
                let Some(said) = Proof::of(payload).filter(|_| magic == DIGEST_MAGIC) else {
                    return Ok(false);
                };
                if self.stage != Stage::Body || list.place() != Some(said.list) {
                    return Err(ArchiveError::damaged("its list does not match"));
                }
                *proof = Some(said);
                self.stage = Stage::Digested;
            }
        }
        if is_short {
            return Err(ArchiveError::damaged("it holds less than its manifest announces"));
        }
        Ok(true)
    }

    /// Skips a frame of another program.
    fn skip(&mut self, length: usize, buffer: &mut Vec<u8>) -> Result<(), ArchiveError> {
        if self.manifest.is_some() {
            return Err(ArchiveError::damaged("it has a frame of an unknown kind"));
        }
        self.read_in_steps(length, buffer, |_| ())
    }

    /// Reads what a skippable frame holds in steps, so that its length takes no memory; `see` gets each. The buffer holds the
    /// frame's header.
    fn read_in_steps(
        &mut self,
        length: usize,
        buffer: &mut Vec<u8>,
        mut see: impl FnMut(&[u8]),
    ) -> Result<(), ArchiveError> {
        self.pass(buffer, 0)?;
        let mut left = length;
        while left > 0 {
            let step = left.min(LARGEST_BLOCK);
            buffer.clear();
            self.read(step, buffer)?;
            see(buffer);
            self.pass(buffer, 0)?;
            left -= step;
        }
        Ok(())
    }

    fn seek_table(&mut self, length: usize, buffer: &mut Vec<u8>) -> Result<(), ArchiveError> {
        let differs = || ArchiveError::damaged("its seek table does not match");
        let expected = std::mem::take(&mut self.table);
        if self.stage != Stage::Digested || length as u64 != expected.length() {
            return Err(differs());
        }
        let mut hasher = Sha256::new();
        self.read_in_steps(length, buffer, |bytes| hasher.update(bytes))?;
        let expected = expected.digest();
        if hasher.finalize()[..] != expected {
            return Err(differs());
        }
        if let ArchiveCheck::Parts { manifest, proof: Some(proof), .. } = &self.check
            && proof.list.prove(manifest, &expected) != proof.digest
        {
            return Err(ArchiveError::damaged("its digest does not match"));
        }
        self.stage = Stage::Tabled;
        Ok(())
    }

    /// A zstd frame, of which the buffer holds the magic.
    fn data(&mut self, buffer: &mut Vec<u8>) -> Result<Part, ArchiveError> {
        if self.stage == Stage::Digested {
            return Err(ArchiveError::damaged("something follows its digest"));
        }
        self.read(1, buffer)?;
        let header = FrameHeader::begin(buffer[4])?;
        self.read(header.window_length + header.size_length, buffer)?;
        let whole = header.content(&buffer[5..]).filter(|content| *content <= u64::from(LARGEST_FRAME));
        if let Some(manifest) = &self.manifest {
            let left = manifest.stream_bytes.saturating_sub(self.content);
            let expected = left.min(u64::from(manifest.frame_bytes));
            if whole != Some(expected) || expected == 0 || !header.checksum {
                return Err(ArchiveError::damaged("its frames do not match its manifest"));
            }
            self.content += expected;
        }
        let Some(content) = whole.and_then(|content| usize::try_from(content).ok()) else {
            self.open = Some(OpenFrame { checksum: header.checksum });
            self.pass(buffer, 0)?;
            return Ok(Part::Piece { first: true, last: false });
        };
        // Blocks may be stored raw with three bytes each; no encoder needs half as much again.
        let most = content + content / 2 + (64 << 10);
        while !self.read_block(buffer)? {
            if buffer.len() > most {
                return Err(ArchiveError::damaged("a frame is longer than its content"));
            }
        }
        if header.checksum {
            self.read(4, buffer)?;
        }
        self.pass(buffer, content)?;
        Ok(Part::Frame { content })
    }

    /// The next block of a frame that is handed out in pieces.
    fn block(&mut self, open: OpenFrame, buffer: &mut Vec<u8>) -> Result<Part, ArchiveError> {
        let last = self.read_block(buffer)?;
        if last {
            self.open = None;
            if open.checksum {
                self.read(4, buffer)?;
            }
        }
        self.pass(buffer, 0)?;
        Ok(Part::Piece { first: false, last })
    }

    /// Appends a block with its header to the buffer; returns whether it is the last of the frame.
    fn read_block(&mut self, buffer: &mut Vec<u8>) -> Result<bool, ArchiveError> {
        let start = buffer.len();
        self.read(3, buffer)?;
        let header = &buffer[start..];
        let bits = u32::from(header[0]) | u32::from(header[1]) << 8 | u32::from(header[2]) << 16;
        let size = (bits >> 3) as usize;
        let length = match bits >> 1 & 3 {
            0 | 2 if size <= LARGEST_BLOCK => size,
            1 if size <= LARGEST_BLOCK => 1,
            _ => return Err(ArchiveError::damaged("a block has an unknown kind")),
        };
        self.read(length, buffer)?;
        Ok(bits & 1 == 1)
    }

    /// Counts bytes as read: a whole frame, or a part of one that is not listed in a table.
    fn pass(&mut self, bytes: &[u8], content: usize) -> Result<(), ArchiveError> {
        if let ArchiveCheck::Whole(hasher) = &mut self.check {
            hasher.update(bytes);
        }
        self.position += bytes.len() as u64;
        if self.manifest.is_some() {
            let listed = self.table.push(bytes.len(), content);
            return listed.ok_or_else(|| ArchiveError::damaged("it has more frames than a seek table lists"));
        }
        Ok(())
    }

    /// Reads the magic of the next frame into the empty buffer; `None` at the end of the input.
    fn magic(&mut self, buffer: &mut Vec<u8>) -> Result<Option<u32>, ArchiveError> {
        let read = (&mut self.input).take(4).read_to_end(buffer).map_err(ArchiveError::Input)?;
        match read {
            0 => Ok(None),
            4 => Ok(Some(u32::from_le_bytes(buffer[..4].try_into().expect("four bytes")))),
            _ => Err(truncated()),
        }
    }

    /// Appends this many bytes to the buffer.
    fn read(&mut self, length: usize, buffer: &mut Vec<u8>) -> Result<(), ArchiveError> {
        let start = buffer.len();
        buffer.resize(start + length, 0);
        self.input.read_exact(&mut buffer[start..]).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => truncated(),
            _ => ArchiveError::Input(error),
        })
    }
}

fn truncated() -> ArchiveError {
    ArchiveError::damaged("it ends in the middle")
}

impl FrameHeader {
    /// Reads the descriptor; the content size follows in the rest of the header.
    fn begin(descriptor: u8) -> Result<Self, ArchiveError> {
        if descriptor & 0b1011 != 0 {
            return Err(ArchiveError::damaged("a frame needs a dictionary or a later zstd"));
        }
        let single_segment = descriptor & 0b10_0000 != 0;
        let size_length = match descriptor >> 6 {
            0 => usize::from(single_segment),
            power => 1 << power,
        };
        Ok(FrameHeader {
            window_length: usize::from(!single_segment),
            size_length,
            checksum: descriptor & 0b100 != 0,
        })
    }

    /// Length of the content; `None` if the header does not record it.
    fn content(self, rest: &[u8]) -> Option<u64> {
        let field = &rest[self.window_length..];
        let mut bytes = [0; 8];
        bytes[..field.len()].copy_from_slice(field);
        let size = u64::from_le_bytes(bytes);
        match field.len() {
            0 => None,
            2 => Some(size + 256),
            _ => Some(size),
        }
    }
}
