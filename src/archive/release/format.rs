//! Formats of archives, found by their first bytes.

use std::fmt;

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

/// Bytes of a tar block.
pub(super) const BLOCK: usize = 512;

/// The format that begins like this, or what the bytes look like instead.
pub(super) fn detect(prefix: &[u8]) -> Result<Format, &'static str> {
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
pub(super) fn is_tar(block: &[u8]) -> bool {
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
