//! Archives put together from parts, with every checksum, digest and table true: what is wrong with them is what they say.

use sha2::{Digest as _, Sha256};

const MANIFEST: u32 = 0x184D_2A50;
const DIGEST: u32 = 0x184D_2A51;
const LIST: u32 = 0x184D_2A52;
const SEEK_TABLE: u32 = 0x184D_2A5E;

pub(crate) fn skippable(magic: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short");
    [&magic.to_le_bytes()[..], &length.to_le_bytes(), payload].concat()
}

/// A manifest's frame with another payload.
pub(crate) fn manifest_frame(payload: &[u8]) -> Vec<u8> {
    skippable(MANIFEST, payload)
}

/// The frame of a manifest, as one of an archive without a list.
pub(crate) fn unlisted(manifest: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(&manifest[8..]).expect("text");
    manifest_frame(text.replacen(r#""format":2"#, r#""format":1"#, 1).as_bytes())
}

/// A stream as an archive without a list.
pub(crate) fn seal(manifest: &[u8], stream: &[u8]) -> Vec<u8> {
    let frame = compressed(stream);
    let before = [manifest, &frame].concat();
    let digest = skippable(DIGEST, &[&b"cachekeep sha256\n"[..], &Sha256::digest(&before)].concat());
    let table = table(&[(manifest.len(), 0), (frame.len(), stream.len()), (digest.len(), 0)]);
    [before, digest, skippable(SEEK_TABLE, &table)].concat()
}

/// A stream as an archive with these rows for a list; rows that do not parse are stored as they are.
pub(crate) fn seal_with_list(manifest: &[u8], stream: &[u8], rows: &[u8]) -> Vec<u8> {
    let frame = compressed(stream);
    let columns = columns(rows).unwrap_or_else(|| zstd::bulk::compress(rows, 1).expect("compressed"));
    let list = skippable(LIST, &[LIST_TAG, &columns].concat());
    let numbers =
        [manifest.len() + frame.len(), list.len(), rows.len()].map(|number| (number as u64).to_le_bytes());
    let place = [numbers.as_flattened(), &Sha256::digest(rows)].concat();
    let proof = |digest: &[u8]| skippable(DIGEST, &[&b"cachekeep digest\n"[..], &place, digest].concat());
    let length = proof(&[0; 32]).len();
    let table = table(&[(manifest.len(), 0), (frame.len(), stream.len()), (list.len(), 0), (length, 0)]);
    let digest = Sha256::digest([&Sha256::digest(manifest)[..], &place, &Sha256::digest(&table)].concat());
    [manifest, &frame, &list, &proof(&digest), &skippable(SEEK_TABLE, &table)].concat()
}

/// The rows of an archive's list.
pub(crate) fn rows(archive: &[u8]) -> Vec<u8> {
    let mut rows = Vec::new();
    let mut at = 0;
    for end in super::packing::frame_ends(archive) {
        let frame = &archive[at..end];
        if let Some(payload) = frame.strip_prefix(&LIST.to_le_bytes()) {
            rows.extend(rows_in(payload[4..].strip_prefix(LIST_TAG).expect("a list")));
        }
        at = end;
    }
    rows
}

const LIST_TAG: &[u8] = b"cachekeep files\n";

/// Rows as columns, as `src/archive/format/columns.rs` describes them; `None` if they do not parse.
pub(crate) fn columns(mut rows: &[u8]) -> Option<Vec<u8>> {
    let mut columns: [Vec<u8>; 6] = Default::default();
    let (mut hashes, mut before, mut end, mut last) = (Vec::new(), 0_i64, 0_u64, Vec::<u8>::new());
    while !rows.is_empty() {
        let [names, modes, seconds, nanoseconds, sizes, extents] = &mut columns;
        let kind = take(&mut rows, 1)?[0];
        names.push(kind);
        let length = usize::try_from(number(&mut rows)?).ok().filter(|length| *length <= 4_096)?;
        let name = take(&mut rows, length)?;
        let shared = name.iter().zip(&last).take_while(|(one, other)| one == other).count();
        put(names, shared as u64);
        put(names, (length - shared) as u64);
        names.extend(&name[shared..]);
        last = name.to_vec();
        put(modes, number(&mut rows)?);
        let time = unzigzag(number(&mut rows)?);
        put(seconds, zigzag(time.wrapping_sub(before)));
        before = time;
        nanoseconds
            .extend(u32::try_from(number(&mut rows)?).ok().filter(|it| *it < 1_000_000_000)?.to_le_bytes());
        match kind {
            0 => {}
            1 => {
                let size = number(&mut rows)?;
                put(sizes, size);
                hashes.extend(take(&mut rows, 32)?);
                let count = number(&mut rows)?;
                put(extents, count);
                let mut left = size;
                for index in 1..=count {
                    let [segment, offset, length] =
                        [number(&mut rows)?, number(&mut rows)?, number(&mut rows)?];
                    put(extents, segment);
                    put(extents, zigzag(offset.wrapping_sub(end).cast_signed()));
                    if index < count {
                        put(extents, length);
                    }
                    end = behind(offset, length);
                    left = left.checked_sub(length)?;
                }
                (left == 0).then_some(())?;
            }
            2 | 3 => text(names, &mut rows)?,
            _ => return None,
        }
    }
    let mut whole = Vec::new();
    columns.iter().for_each(|column| put(&mut whole, column.len() as u64));
    whole.extend(columns.concat());
    let mut stored = Vec::new();
    put(&mut stored, hashes.len() as u64 / 32);
    Some([stored, hashes, zstd::bulk::compress(&whole, 1).expect("compressed")].concat())
}

/// The rows in columns.
fn rows_in(mut stored: &[u8]) -> Vec<u8> {
    let read = "columns that were written";
    let count = usize::try_from(number(&mut stored).expect(read)).expect("few");
    let mut hashes = take(&mut stored, count * 32).expect(read);
    let whole = zstd::bulk::decompress(stored, 2 << 20).expect("a frame");
    let mut whole = &whole[..];
    let lengths: Vec<u64> = (0..6).map(|_| number(&mut whole).expect(read)).collect();
    let mut columns =
        lengths.iter().map(|length| take(&mut whole, usize::try_from(*length).expect("few")).expect(read));
    let mut columns: [&[u8]; 6] = std::array::from_fn(|_| columns.next().expect("six"));
    let (mut rows, mut before, mut end, mut name) = (Vec::new(), 0_i64, 0_u64, Vec::<u8>::new());
    while !columns[0].is_empty() {
        let [names, modes, seconds, nanoseconds, sizes, extents] = &mut columns;
        let kind = take(names, 1).expect(read)[0];
        rows.push(kind);
        name.truncate(usize::try_from(number(names).expect(read)).expect("short"));
        let rest = usize::try_from(number(names).expect(read)).expect("short");
        name.extend(take(names, rest).expect(read));
        put(&mut rows, name.len() as u64);
        rows.extend(&name);
        put(&mut rows, number(modes).expect(read));
        before = before.wrapping_add(unzigzag(number(seconds).expect(read)));
        put(&mut rows, zigzag(before));
        let nanoseconds = take(nanoseconds, 4).expect(read).try_into().expect("four");
        put(&mut rows, u64::from(u32::from_le_bytes(nanoseconds)));
        if kind == 1 {
            let size = number(sizes).expect(read);
            put(&mut rows, size);
            rows.extend(take(&mut hashes, 32).expect(read));
            let count = number(extents).expect(read);
            put(&mut rows, count);
            let mut left = size;
            for index in 1..=count {
                put(&mut rows, number(extents).expect(read));
                let offset = end.wrapping_add(unzigzag(number(extents).expect(read)).cast_unsigned());
                put(&mut rows, offset);
                let length = if index < count { number(extents).expect(read) } else { left };
                put(&mut rows, length);
                left -= length;
                end = behind(offset, length);
            }
        } else if kind > 1 {
            text(&mut rows, names).expect(read);
        }
    }
    rows
}

/// The block behind an extent.
fn behind(offset: u64, length: u64) -> u64 {
    let end = offset.wrapping_add(length);
    end.checked_next_multiple_of(512).unwrap_or(end)
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    bytes.split_off(..length)
}

/// A number in its shortest form.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u128;
    for place in 0..10 {
        let byte = take(bytes, 1)?[0];
        number |= u128::from(byte & 0x7F) << (7 * place);
        if byte < 0x80 {
            return (place == 0 || byte > 0).then(|| u64::try_from(number).ok())?;
        }
    }
    None
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7F {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

/// Passes a text on.
fn text(out: &mut Vec<u8>, bytes: &mut &[u8]) -> Option<()> {
    let length = number(bytes)?;
    put(out, length);
    out.extend(take(bytes, usize::try_from(length).ok().filter(|length| *length <= 4_096)?)?);
    Some(())
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

fn compressed(stream: &[u8]) -> Vec<u8> {
    let mut compressor = zstd::bulk::Compressor::new(1).expect("a compressor");
    compressor.include_checksum(true).expect("a checksum");
    compressor.compress(stream).expect("a frame")
}

fn table(frames: &[(usize, usize)]) -> Vec<u8> {
    let mut table = Vec::new();
    for &(compressed, content) in frames {
        table.extend(u32::try_from(compressed).expect("short").to_le_bytes());
        table.extend(u32::try_from(content).expect("short").to_le_bytes());
    }
    table.extend(u32::try_from(frames.len()).expect("few").to_le_bytes());
    table.extend([0, 0xB1, 0xEA, 0x92, 0x8F]);
    table
}
