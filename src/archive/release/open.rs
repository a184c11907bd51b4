//! Archives opened: the format found, the compression undone.

use std::io::{self, BufReader, Cursor, Read};

use super::error::fault;
use super::format::{BLOCK, Format, detect, is_tar};
use super::raw::{Bounded, Raw};
use crate::archive::format::error::ArchiveError;

/// The memory an xz stream may ask for: `xz -9` needs 64 MiB of dictionary, larger ones are hostile.
const XZ_MEMORY_KIB: u32 = 160 << 10;

/// The window a zstd frame may ask for, as a power of two: what `zstd` accepts without `--long`.
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
pub(super) fn open<'a>(raw: &Raw<'a>) -> Result<Opened<'a>, ArchiveError> {
    let mut reader = raw.clone();
    let prefix = read_block(&mut reader).map_err(|error| raw.error(&error))?;
    let format = detect(&prefix).map_err(|found| unknown(raw, found))?;
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
            Box::new(decoder.map_err(|error| raw.error(&error))?)
        }
        Format::TarXz => Box::new(lzma_rust2::XzReader::new_mem_limit(packed, true, XZ_MEMORY_KIB)),
    };
    if format == Format::Tar {
        return Ok(Opened { format, body: Body::Tar(raw.bounded(decoded)) });
    }
    let mut decoded = decoded;
    let first = read_block(&mut decoded).map_err(|error| raw.error(&error))?;
    if !is_tar(&first) {
        let message = format_args!("unpacks to something that is not a tar archive ({format})");
        return Err(ArchiveError::Release(fault(raw.options().archive, message)));
    }
    let whole = Box::new(Cursor::new(first).chain(decoded));
    Ok(Opened { format, body: Body::Tar(raw.bounded(whole)) })
}

fn unknown(raw: &Raw<'_>, found: &str) -> ArchiveError {
    let known = "known are tar, tar.gz, tar.zst, tar.xz and zip";
    let fault = fault(raw.options().archive, format_args!("not an archive but {found}; {known}"));
    ArchiveError::Release(fault.with_hint(
        "open the URL in a browser: it may need a login or lead to a page instead of the file".to_owned(),
    ))
}

/// Up to one block; less only at the end.
fn read_block(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut block = Vec::with_capacity(BLOCK);
    reader.take(BLOCK as u64).read_to_end(&mut block)?;
    Ok(block)
}
