//! Formats of archives, found by their first bytes.

use std::fmt;
use std::io::{self, BufReader, Cursor, Read};

use super::error::Problem;
use super::raw::{Bounded, Raw};

/// How an archive is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Tar without compression.
    Tar,
    /// Tar in one or more gzip members.
    TarGzip,
    /// Tar in one or more zstd frames; skippable frames are skipped.
    TarZstd,
    /// Tar in one or more xz streams.
    TarXz,
    /// Zip, stored or deflated.
    Zip,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Tar => "tar",
            Format::TarGzip => "tar.gz",
            Format::TarZstd => "tar.zst",
            Format::TarXz => "tar.xz",
            Format::Zip => "zip",
        })
    }
}

const BLOCK: usize = 512;

/// The memory an xz stream may ask for: `xz -9` needs 64 MiB of dictionary, files above exist only to hurt.
const XZ_MEMORY_KIB: u32 = 160 << 10;

/// The window a zstd frame may ask for, as a power of two: what `zstd` itself accepts without `--long`.
const ZSTD_WINDOW_LOG: u32 = 27;

pub(super) struct Opened<'a> {
    pub(super) format: Format,
    pub(super) body: Body<'a>,
}

pub(super) enum Body<'a> {
    /// The unpacked tar.
    Tar(Bounded<'a>),
    /// The first bytes of a zip, already read.
    Zip(Vec<u8>),
}

/// Finds the format and undoes the compression.
pub(super) fn open<'a>(raw: &Raw<'a>) -> Result<Opened<'a>, Problem> {
    let mut reader = raw.clone();
    let prefix = read_block(&mut reader).map_err(|error| raw.problem(error))?;
    let format = detect(&prefix).map_err(Problem::UnknownFormat)?;
    raw.set_format(format);
    if format == Format::Zip {
        return Ok(Opened { format, body: Body::Zip(prefix) });
    }
    let packed = BufReader::with_capacity(1 << 17, Cursor::new(prefix).chain(reader));
    let decoded: Box<dyn Read + 'a> = match format {
        Format::Tar | Format::Zip => Box::new(packed),
        Format::TarGzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        Format::TarZstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(packed).and_then(|mut decoder| {
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Ok(decoder)
            });
            Box::new(decoder.map_err(|error| raw.problem(error))?)
        }
        Format::TarXz => Box::new(lzma_rust2::XzReader::new_mem_limit(packed, true, XZ_MEMORY_KIB)),
    };
    if format == Format::Tar {
        return Ok(Opened { format, body: Body::Tar(raw.bounded(decoded)) });
    }
    let mut decoded = decoded;
    let first = read_block(&mut decoded).map_err(|error| raw.problem(error))?;
    if !is_tar(&first) {
        return Err(Problem::NotTar(format));
    }
    let whole = Box::new(Cursor::new(first).chain(decoded));
    Ok(Opened { format, body: Body::Tar(raw.bounded(whole)) })
}

/// Up to one block; less only at the end.
fn read_block(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut block = Vec::with_capacity(BLOCK);
    reader.take(BLOCK as u64).read_to_end(&mut block)?;
    Ok(block)
}

/// The format that begins like this, or what it looks like instead.
fn detect(prefix: &[u8]) -> Result<Format, &'static str> {
    match prefix {
        [0x1f, 0x8b, ..] => Ok(Format::TarGzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Format::TarZstd),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Ok(Format::TarXz),
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Ok(Format::Zip),
        [] => Err("empty"),
        block if is_tar(block) => Ok(Format::Tar),
        [b'B', b'Z', b'h', ..] => Err("bzip2"),
        [b'7', b'z', 0xbc, 0xaf, ..] => Err("7z"),
        [b'R', b'a', b'r', b'!', ..] => Err("rar"),
        text if text.trim_ascii_start().starts_with(b"<") => Err("a web page"),
        text if text.starts_with(b"version https://git-lfs") => Err("a git-lfs pointer"),
        _ => Err("something else"),
    }
}

/// Whether this is the header of a tar entry, by its checksum; or the end of an empty tar.
fn is_tar(block: &[u8]) -> bool {
    let Ok(block) = <&[u8; BLOCK]>::try_from(block) else {
        return false;
    };
    if block.iter().all(|byte| *byte == 0) {
        return true;
    }
    let field = String::from_utf8_lossy(&block[148..156]);
    let digits = field.trim_matches(|c: char| c == ' ' || c == '\0');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    let of_field: u32 = block[148..156].iter().map(|byte| u32::from(*byte)).sum();
    u32::from_str_radix(digits, 8).is_ok_and(|stated| stated == sum - of_field + 8 * u32::from(b' '))
}
