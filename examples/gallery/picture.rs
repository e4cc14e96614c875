//! Pictures that strangers upload: what they are, and a small version of them.
//!
//! Plain functions without a trace of processes or HTTP. A file is judged by its content, never by its name, and
//! its header decides whether it is decoded at all.

use std::io::Cursor;

use anyhow::{Context as _, Result, ensure};
use gunmetal::Bytes;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use serde::{Deserialize, Serialize};

/// What the header of a picture tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Info {
    /// Width in pixels, as shown: a photo taken upright is higher than wide.
    pub width: u32,
    /// Height in pixels, as shown.
    pub height: u32,
    /// `JPEG`, `PNG` or `WebP`.
    pub format: String,
    /// Size of the file.
    pub bytes: u64,
}

/// Reads the header of a picture, and no more of it.
pub(crate) fn info(file: &[u8]) -> Result<Info> {
    let header = Header::read(file)?;
    let (width, height) = header.shown_size();
    Ok(Info { width, height, format: header.format.to_owned(), bytes: file.len() as u64 })
}

/// A picture that fits into a square of `size` pixels, as PNG if it has transparency and as JPEG otherwise.
///
/// A smaller picture keeps its size.
pub(crate) fn thumbnail(file: &[u8], size: u32) -> Result<Bytes> {
    ensure!((1..=2048).contains(&size), "a thumbnail has a size of 1 to 2048 pixels, not {size}");
    encode(&shrink(decode(file)?, size))
}

/// Decodes a whole picture and turns it the way it was taken.
pub(crate) fn decode(file: &[u8]) -> Result<DynamicImage> {
    let header = Header::read(file)?;
    let (format, orientation) = (header.format, header.orientation);
    let mut picture = DynamicImage::from_decoder(header.decoder)
        .with_context(|| format!("this {format} file is damaged and cannot be decoded"))?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// Makes a picture fit into a square of `size` pixels; never enlarges it.
pub(crate) fn shrink(picture: DynamicImage, size: u32) -> DynamicImage {
    let (width, height) = (picture.width(), picture.height());
    let longer = width.max(height);
    if longer <= size {
        return picture;
    }
    let scaled = |side: u32| ((side * size + longer / 2) / longer).max(1);
    let (width, height) = (scaled(width), scaled(height));
    // A fast filter takes most pixels away, a good one the rest.
    let coarse = if longer > 3 * size { picture.thumbnail_exact(2 * width, 2 * height) } else { picture };
    coarse.resize_exact(width, height, FilterType::Lanczos3)
}

/// Writes a picture for a browser: PNG keeps transparency, JPEG is smaller.
pub(crate) fn encode(picture: &DynamicImage) -> Result<Bytes> {
    let mut file = Vec::new();
    if picture.color().has_alpha() {
        picture.to_rgba8().write_to(&mut Cursor::new(&mut file), ImageFormat::Png)?;
    } else {
        picture.to_rgb8().write_with_encoder(JpegEncoder::new_with_quality(&mut file, 85))?;
    }
    Ok(file.into())
}

/// The media type of what [`encode`] wrote.
pub(crate) fn media_type(file: &[u8]) -> &'static str {
    if file.starts_with(b"\x89PNG") { "image/png" } else { "image/jpeg" }
}

/// A picture whose header was read and found acceptable.
struct Header<'a> {
    format: &'static str,
    orientation: Orientation,
    decoder: Box<dyn ImageDecoder + 'a>,
}

impl<'a> Header<'a> {
    fn read(file: &'a [u8]) -> Result<Self> {
        let mut reader = ImageReader::new(Cursor::new(file)).with_guessed_format()?;
        let format = match reader.format() {
            Some(ImageFormat::Jpeg) => "JPEG",
            Some(ImageFormat::Png) => "PNG",
            Some(ImageFormat::WebP) => "WebP",
            _ => anyhow::bail!("this file is not a JPEG, PNG or WebP picture"),
        };
        let mut limits = Limits::default();
        limits.max_alloc = Some(MAX_DECODED_LEN);
        reader.limits(limits);
        let mut decoder =
            reader.into_decoder().with_context(|| format!("the header of this {format} file is damaged"))?;
        let (width, height) = decoder.dimensions();
        let size = format!("this picture has {width} x {height} pixels");
        let pixels = u64::from(width) * u64::from(height);
        ensure!(pixels <= MAX_PIXELS, "{size}; at most {} million are accepted", MAX_PIXELS / 1_000_000);
        ensure!(width.max(height) <= MAX_SIDE, "{size}; at most {MAX_SIDE} along a side are accepted");
        let len = decoder.total_bytes();
        ensure!(
            len <= MAX_DECODED_LEN,
            "{size}, which take {} MiB of memory; at most {} MiB are accepted",
            len >> 20,
            MAX_DECODED_LEN >> 20
        );
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        Ok(Self { format, orientation, decoder: Box::new(decoder) })
    }

    fn shown_size(&self) -> (u32, u32) {
        use Orientation as O;
        let (width, height) = self.decoder.dimensions();
        match self.orientation {
            O::Rotate90 | O::Rotate270 | O::Rotate90FlipH | O::Rotate270FlipH => (height, width),
            O::NoTransforms | O::Rotate180 | O::FlipHorizontal | O::FlipVertical => (width, height),
        }
    }
}

/// The largest picture that is decoded: more than any camera makes, less than a bomb of a few bytes claims.
const MAX_PIXELS: u64 = 100_000_000;

/// The longest side that is decoded, in pixels: what a JPEG file can express.
const MAX_SIDE: u32 = 65_535;

/// The most memory that a decoded picture may take, and that its decoder may use beside it, in bytes.
const MAX_DECODED_LEN: u64 = 512 << 20;
