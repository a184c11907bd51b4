//! What an archive holds, from its list alone: two or three ranges of it, whatever its size.

use std::ops::Range;

use bytes::Bytes;

use crate::archive::format::columns;
use crate::archive::format::error::ArchiveError;
use crate::archive::format::list::{LARGEST_LIST, ROW_BYTES, Row, Rows};
use crate::archive::format::list_frame::{self, ListPlace, Proof};
use crate::archive::format::manifest::{Manifest, Parent};
use crate::archive::format::seek_table::{self, FramePlace};
use crate::archive::format::skippable::{DIGEST_MAGIC, LIST_MAGIC, SEEK_TABLE_MAGIC, split};
use crate::domain::digest::Sha256Digest;

/// Bytes that are read of the beginning and of the end at first: enough for most manifests, and for the seek table of 30 GB.
const ENDS: u64 = 64 << 10;

/// The list of an archive, proven by the archive's digest.
#[derive(Debug)]
pub struct Listing {
    /// What the archive holds in all.
    pub manifest: Manifest,
    /// The digest that the archive carries.
    pub digest: Sha256Digest,
    /// Bytes of the archive.
    pub archive_bytes: u64,
    frames: Frames,
    rows: Vec<u8>,
}

/// Where the frames of an archive lie.
#[derive(Debug)]
pub struct Frames(pub(crate) Vec<FramePlace>);

impl Listing {
    /// All entries, in the order of the archive; an error after as many as its manifest counts.
    pub fn rows(&self) -> impl Iterator<Item = Result<Row, ArchiveError>> {
        // A row of few bytes takes many in memory.
        let most = self.manifest.counts.entries().min(LARGEST_LIST / ROW_BYTES);
        Rows::new(&self.rows[..]).zip(1..).map(move |(row, number)| {
            if number > most {
                return Err(ArchiveError::damaged("its list has more entries than its manifest"));
            }
            row
        })
    }

    /// Where the frames of the archive lie.
    pub(crate) fn frames(&self) -> &Frames {
        &self.frames
    }
}

/// What the two ends of an archive say.
struct Ends {
    manifest: Manifest,
    proof: Proof,
    frames: Frames,
    /// Where the proof begins.
    proof_at: u64,
}

/// Reads the list of an archive of this size, parts of which `fetch` gets; `None` if it has none: an earlier program or another
/// one made it.
pub fn read_listing<E: From<ArchiveError>>(
    size: u64,
    mut fetch: impl FnMut(&[Range<u64>]) -> Result<Vec<Bytes>, E>,
) -> Result<Option<Listing>, E> {
    let Some(Ends { manifest, proof, frames, proof_at }) = read_ends(size, &mut fetch)? else {
        return Ok(None);
    };
    let ListPlace { offset, stored, .. } = proof.list;
    // Compressed rows take hardly more than they do otherwise.
    if offset.checked_add(stored) != Some(proof_at) || stored > 2 * LARGEST_LIST {
        return Err(ArchiveError::damaged("its list is not behind its frames").into());
    }
    let list = part(&mut fetch, offset..proof_at)?;
    let rows = rows(&list, &proof.list)?;
    Ok(Some(Listing { manifest, digest: proof.digest, archive_bytes: size, frames, rows }))
}

/// Reads where the frames of an archive lie that a thin one takes content from. It must be the very archive that was there when
/// that one was saved.
pub fn read_frames<E: From<ArchiveError>>(
    parent: &Parent,
    mut fetch: impl FnMut(&[Range<u64>]) -> Result<Vec<Bytes>, E>,
) -> Result<Frames, E> {
    let ends = read_ends(parent.archive_bytes, &mut fetch)?;
    match ends.filter(|ends| ends.proof.digest.to_string() == parent.digest) {
        Some(ends) => Ok(ends.frames),
        None => Err(ArchiveError::damaged(format!("`{}` is another archive than it was", parent.key)).into()),
    }
}

fn read_ends<E: From<ArchiveError>>(
    size: u64,
    fetch: &mut impl FnMut(&[Range<u64>]) -> Result<Vec<Bytes>, E>,
) -> Result<Option<Ends>, E> {
    let ends = size.min(ENDS);
    let [head, tail] = parts(fetch, &[0..ends, size - ends..size])?;
    let Some(length) = Manifest::frame_length(&head) else { return Ok(None) };
    // Nothing beyond the archive is asked for, whatever its first bytes say.
    if length as u64 > size {
        return Err(truncated().into());
    }
    let head = if length <= head.len() { head } else { part(fetch, 0..length as u64)? };
    let first = head.get(..length).ok_or_else(truncated)?;
    let (magic, payload, _) = split(first).ok_or_else(truncated)?;
    let manifest = Manifest::of_frame(magic, payload).ok_or_else(truncated)??;
    if !manifest.is_listed() {
        return Ok(None);
    }
    let table = seek_table::frame_length(&tail).ok_or_else(truncated)?;
    let behind = table + Proof::LENGTH as u64;
    let proof_at = size.checked_sub(behind).ok_or_else(truncated)?;
    let tail = if behind <= tail.len() as u64 {
        tail.slice(tail.len() - usize::try_from(behind).unwrap_or(0)..)
    } else {
        part(fetch, proof_at..size)?
    };
    let (proof, table) = tail.split_at_checked(Proof::LENGTH).ok_or_else(truncated)?;
    let proof = check(first, proof, table)?;
    let frames = seek_table::frames(&table[8..], size)
        .filter(|frames| frames.last().map_or(0, FramePlace::content_end) == manifest.stream_bytes)
        .ok_or_else(|| ArchiveError::damaged("its seek table does not match its size"))?;
    Ok(Some(Ends { manifest, proof, frames: Frames(frames), proof_at }))
}

/// Fetches parts, each of which must come whole.
fn parts<const N: usize, E: From<ArchiveError>>(
    fetch: &mut impl FnMut(&[Range<u64>]) -> Result<Vec<Bytes>, E>,
    ranges: &[Range<u64>; N],
) -> Result<[Bytes; N], E> {
    let fetched: [Bytes; N] = fetch(ranges)?.try_into().map_err(|_| truncated())?;
    let whole = fetched.iter().zip(ranges).all(|(part, range)| part.len() as u64 == range.end - range.start);
    if whole { Ok(fetched) } else { Err(truncated().into()) }
}

/// Fetches one part.
fn part<E: From<ArchiveError>>(
    fetch: &mut impl FnMut(&[Range<u64>]) -> Result<Vec<Bytes>, E>,
    range: Range<u64>,
) -> Result<Bytes, E> {
    parts(fetch, &std::array::from_fn(|_: usize| range.clone())).map(|[part]| part)
}

/// The proof in its frame, which the frames of manifest and seek table must bear out.
fn check(manifest: &[u8], proof: &[u8], table: &[u8]) -> Result<Proof, ArchiveError> {
    let differs = || ArchiveError::damaged("its digest does not match");
    let payload = |frame, kind| match split(frame) {
        Some((magic, payload, [])) if magic == kind => Some(payload),
        _ => None,
    };
    let proof = payload(proof, DIGEST_MAGIC).and_then(Proof::of).ok_or_else(differs)?;
    let table = payload(table, SEEK_TABLE_MAGIC).ok_or_else(differs)?;
    let digest = proof.list.prove(&Sha256Digest::of(manifest), &Sha256Digest::of(table).0);
    if digest == proof.digest { Ok(proof) } else { Err(differs()) }
}

/// The rows of a list in its frames.
fn rows(mut frames: &[u8], place: &ListPlace) -> Result<Vec<u8>, ArchiveError> {
    let differs = || ArchiveError::damaged("its list does not match");
    if place.rows > LARGEST_LIST {
        return Err(differs());
    }
    let mut rows = Vec::new();
    while !frames.is_empty() {
        let (magic, payload, rest) = split(frames).ok_or_else(differs)?;
        let stored = list_frame::columns(payload).filter(|_| magic == LIST_MAGIC).ok_or_else(differs)?;
        rows.extend(columns::rows(stored)?);
        if rows.len() as u64 > place.rows {
            return Err(differs());
        }
        frames = rest;
    }
    if Sha256Digest::of(&rows) == place.digest { Ok(rows) } else { Err(differs()) }
}

fn truncated() -> ArchiveError {
    ArchiveError::damaged("it ends in the middle")
}
