//! CORE: a body's compression undone, under limits.
//!
//! Every member or frame is read, so that nothing after the first one is dropped, and garbage after the last is an error.

use std::io::Read;

use flate2::bufread::{MultiGzDecoder, ZlibDecoder};

use crate::config::Config;
use crate::refusal::{Code, Refusal};

/// Growth is not looked at below this: small repetitive bodies compress well and cost little.
const RATIO_FREE_BYTES: usize = 1 << 20;
const CHUNK_BYTES: usize = 64 << 10;
/// Of a zstd frame: what every decoder has to take (RFC 8878, section 3.1.1.1.2).
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// How a body is compressed: a `content-encoding`, or a `grpc-encoding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    /// The zlib format (RFC 1950), as HTTP means it.
    Deflate,
    Zstd,
}

impl Encoding {
    /// Reads its name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let known = [
            ("identity", Self::Identity),
            ("gzip", Self::Gzip),
            ("deflate", Self::Deflate),
            ("zstd", Self::Zstd),
        ];
        let named = known.iter().find(|(known, _)| name.trim().eq_ignore_ascii_case(known));
        named.map(|(_, encoding)| *encoding)
    }
}

/// The decompressed body. `reserve` is asked for every chunk before the next is made.
pub(crate) fn inflate(
    body: &[u8],
    encoding: Encoding,
    config: &Config,
    reserve: impl FnMut(usize) -> Result<(), Refusal>,
) -> Result<Vec<u8>, Refusal> {
    match encoding {
        Encoding::Identity => Ok(body.to_vec()),
        Encoding::Gzip => read(MultiGzDecoder::new(body), body.len(), config, reserve),
        Encoding::Deflate => {
            let mut decoder = ZlibDecoder::new(body);
            let out = read(&mut decoder, body.len(), config, reserve)?;
            if decoder.into_inner().is_empty() {
                return Ok(out);
            }
            Err(Refusal::body("after the compressed body there is something else"))
        }
        Encoding::Zstd => {
            let broken = |error| Refusal::body(format!("the body is not zstd: {error}"));
            let mut decoder = zstd::Decoder::with_buffer(body).map_err(broken)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(broken)?;
            read(decoder, body.len(), config, reserve)
        }
    }
}

fn read(
    mut decoder: impl Read,
    size: usize,
    config: &Config,
    mut reserve: impl FnMut(usize) -> Result<(), Refusal>,
) -> Result<Vec<u8>, Refusal> {
    let ratio_bytes_max = size.saturating_mul(config.decompressed_ratio_max);
    let mut out = Vec::with_capacity(size.saturating_mul(4).min(RATIO_FREE_BYTES));
    loop {
        let mut chunk = decoder.by_ref().take(u64::try_from(CHUNK_BYTES).unwrap_or(u64::MAX));
        let read = chunk.read_to_end(&mut out);
        let broken = |error| Refusal::body(format!("the body cannot be decompressed: {error}"));
        let read = read.map_err(broken)?;
        if read == 0 {
            return Ok(out);
        }
        if out.len() > config.decompressed_bytes_max {
            let max = config.decompressed_bytes_max;
            let what = "the decompressed body has bytes";
            return Err(Refusal::limit(Code::TooLarge, what, "decompressed_bytes_max", max));
        }
        if out.len() > ratio_bytes_max.max(RATIO_FREE_BYTES) {
            let max = config.decompressed_ratio_max;
            let what = "the body grows, decompressed, by a ratio";
            return Err(Refusal::limit(Code::TooLarge, what, "decompressed_ratio_max", max));
        }
        reserve(read)?;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn plain(body: &[u8], config: &Config) -> Result<Vec<u8>, Refusal> {
        inflate(body, Encoding::Gzip, config, |_| Ok(()))
    }

    #[test]
    fn two_members_are_read_as_one_body() {
        let two = [gzip(b"ab"), gzip(b"cd")].concat();
        assert_eq!(plain(&two, &Config::default()).unwrap(), b"abcd");
    }

    #[test]
    fn what_is_cut_or_followed_by_garbage_or_not_gzip_is_refused() {
        let good = gzip(&[7; 5000]);
        let cut = &good[..good.len() - 1];
        let more = [&good[..], b"garbage"].concat();
        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for bad in [cut, &more, &flipped, b"plain text", b""] {
            let refusal = plain(bad, &Config::default());
            assert!(bad.is_empty() || refusal.unwrap_err().code == Code::InvalidBody);
        }
    }

    #[test]
    fn zlib_and_zstd_are_read_to_their_end_and_no_further() {
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(b"abcd").unwrap();
        let (zlib, zstd) = (zlib.finish().unwrap(), zstd::encode_all(&b"abcd"[..], 3).unwrap());
        for (encoding, good) in [(Encoding::Deflate, zlib), (Encoding::Zstd, zstd)] {
            let read = |body: &[u8]| inflate(body, encoding, &Config::default(), |_| Ok(()));
            assert_eq!(read(&good).unwrap(), b"abcd");
            let more = [&good[..], b"garbage"].concat();
            for bad in [&good[..good.len() - 1], &more, b"plain text"] {
                assert_eq!(read(bad).unwrap_err().code, Code::InvalidBody, "{encoding:?} {bad:?}");
            }
        }
    }

    #[test]
    fn a_bomb_stops_at_the_ratio_or_at_the_size() {
        let bomb = gzip(&vec![b' '; 32 << 20]);
        let limit = |config| plain(&bomb, &config).unwrap_err().limit;
        assert_eq!(limit(Config::default()), Some("decompressed_ratio_max"));
        let config = Config { decompressed_bytes_max: 1 << 20, ..Config::default() };
        assert_eq!(limit(config), Some("decompressed_bytes_max"));
    }

    #[test]
    fn it_stops_when_no_more_memory_may_be_reserved() {
        let body = gzip(&[7; 500_000]);
        let mut left = 100_000;
        let refused = inflate(&body, Encoding::Gzip, &Config::default(), |bytes| {
            left = usize::checked_sub(left, bytes).ok_or_else(|| Refusal::unavailable("full"))?;
            Ok(())
        });
        assert_eq!(refused.unwrap_err().code, Code::Unavailable);
    }
}
