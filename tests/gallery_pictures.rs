//! What the gallery does with pictures, without processes around it.
#![allow(clippy::unwrap_used)]

#[path = "../examples/gallery/contact_sheet.rs"]
mod contact_sheet;
#[path = "../examples/gallery/picture.rs"]
mod picture;

use std::io::Cursor;

use contact_sheet::{ContactSheet, Tile};
use image::codecs::jpeg::JpegEncoder;
use image::{GenericImage as _, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use picture::{Info, decode, info, media_type, thumbnail};

const LAKE: &[u8] = include_bytes!("../examples/gallery/samples/lake.jpg");
const LIGHTS: &[u8] = include_bytes!("../examples/gallery/samples/lights.webp");
const MARBLES: &[u8] = include_bytes!("../examples/gallery/samples/marbles.png");

#[test]
fn the_three_formats_are_told_apart_by_content() {
    let told = [LAKE, LIGHTS, MARBLES].map(|file| {
        let Info { width, height, format, bytes } = info(file).unwrap();
        assert_eq!(bytes, file.len() as u64);
        (format, width, height)
    });
    let expected = [("JPEG", 1200, 800), ("WebP", 640, 960), ("PNG", 560, 420)];
    assert_eq!(told, expected.map(|(format, width, height)| (format.to_owned(), width, height)));
}

#[test]
fn a_thumbnail_fits_into_its_square_and_keeps_the_shape() {
    for (file, expected) in [(LAKE, (128, 85)), (LIGHTS, (85, 128)), (MARBLES, (128, 96))] {
        let Info { width, height, .. } = info(&thumbnail(file, 128).unwrap()).unwrap();
        assert_eq!((width, height), expected);
    }
}

#[test]
fn a_small_picture_is_not_enlarged() {
    let Info { width, height, .. } = info(&thumbnail(&red(40, 20), 128).unwrap()).unwrap();
    assert_eq!((width, height), (40, 20));
}

#[test]
fn transparency_survives_and_an_opaque_picture_becomes_a_jpeg() {
    assert_eq!(media_type(&thumbnail(LIGHTS, 64).unwrap()), "image/jpeg");
    let file = thumbnail(MARBLES, 64).unwrap();
    assert_eq!(media_type(&file), "image/png");
    assert_eq!(image::load_from_memory(&file).unwrap().to_rgba8().get_pixel(0, 0)[3], 0);
}

#[test]
fn a_size_of_nothing_or_too_much_is_refused() {
    for size in [0, 2049, u32::MAX] {
        let message = thumbnail(LAKE, size).unwrap_err().to_string();
        assert_eq!(message, format!("a thumbnail has a size of 1 to 2048 pixels, not {size}"));
    }
}

#[test]
fn a_photo_that_was_taken_upright_is_shown_upright() {
    // The blue half of the file is on the right; turned by 90 degrees clockwise it is at the bottom.
    let mut picture = RgbImage::from_pixel(64, 32, Rgb([230, 20, 20]));
    for (_, _, pixel) in picture.enumerate_pixels_mut().filter(|(x, ..)| *x >= 32) {
        *pixel = Rgb([20, 20, 230]);
    }
    let mut file = Vec::new();
    picture.write_with_encoder(JpegEncoder::new_with_quality(&mut file, 95)).unwrap();
    let file = with_orientation(&file, 6);

    let told = info(&file).unwrap();
    assert_eq!((told.width, told.height), (32, 64));
    let shown = decode(&file).unwrap().to_rgb8();
    assert!(
        shown.get_pixel(16, 8)[0] > 200 && shown.get_pixel(16, 56)[2] > 200,
        "not turned, or the wrong way"
    );
}

#[test]
fn what_is_no_picture_is_called_so() {
    for file in
        [&b"not a picture"[..], b"", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"GIF89a\x01\0\x01\0"]
    {
        let message = thumbnail(file, 128).unwrap_err().to_string();
        assert_eq!(message, "this file is not a JPEG, PNG or WebP picture");
    }
}

#[test]
fn half_a_picture_is_called_damaged() {
    for (file, format) in [(LIGHTS, "WebP"), (MARBLES, "PNG")] {
        let message = thumbnail(&file[..file.len() / 2], 128).unwrap_err().to_string();
        assert_eq!(message, format!("this {format} file is damaged and cannot be decoded"));
    }
    let message = thumbnail(&LAKE[..40], 128).unwrap_err().to_string();
    assert_eq!(message, "the header of this JPEG file is damaged");
}

#[test]
fn a_few_bytes_that_claim_too_many_pixels_are_refused_unread() {
    let claims = [
        (50_000, 50_000, 8, "; at most 100 million are accepted"),
        (70_000, 10, 8, "; at most 65535 along a side are accepted"),
        (10_000, 9_000, 16, ", which take 686 MiB of memory; at most 512 MiB are accepted"),
    ];
    for (width, height, bits, expected) in claims {
        let bomb = claiming(width, height, bits);
        for outcome in [info(&bomb).map(drop), thumbnail(&bomb, 128).map(drop)] {
            let message = outcome.unwrap_err().to_string();
            assert_eq!(message, format!("this picture has {width} x {height} pixels{expected}"));
        }
    }
}

#[test]
fn a_picture_of_one_pixel_and_one_of_many_shapes_have_thumbnails() {
    for (width, height) in [(1, 1), (3000, 1), (1, 3000), (129, 128)] {
        let Info { width, height, .. } = info(&thumbnail(&red(width, height), 128).unwrap()).unwrap();
        assert!((1..=128).contains(&width) && (1..=128).contains(&height), "{width} x {height}");
    }
}

#[test]
fn the_tiles_put_together_are_the_picture() {
    let whole = image::load_from_memory(MARBLES).unwrap().to_rgba8();
    let mut together = RgbaImage::new(whole.width(), whole.height());
    for tile in ContactSheet::new(MARBLES, 9).unwrap() {
        let Tile { row, column, rows, columns, image } = tile.unwrap();
        assert_eq!((rows, columns), (9, 9));
        let (left, top) = (whole.width() * column / columns, whole.height() * row / rows);
        together.copy_from(&image::load_from_memory(&image).unwrap().to_rgba8(), left, top).unwrap();
    }
    assert!(whole == together, "a gap, an overlap or a wrong place");
}

#[test]
fn tiles_come_row_by_row_and_then_end() {
    let mut sheet = ContactSheet::new(MARBLES, 3).unwrap();
    let places: Vec<_> =
        sheet.by_ref().map(|tile| tile.map(|tile| (tile.row, tile.column)).unwrap()).collect();
    assert_eq!(places, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]);
    assert!(sheet.next().is_none());
}

#[test]
fn a_picture_with_fewer_pixels_than_tiles_has_a_tile_for_each_pixel() {
    let mut file = Vec::new();
    let tiny = RgbaImage::new(4, 2);
    tiny.write_to(&mut Cursor::new(&mut file), ImageFormat::Png).unwrap();
    assert_eq!(ContactSheet::new(&file, 10).unwrap().count(), 8);
}

#[test]
fn a_grid_of_nothing_or_too_much_is_refused() {
    for across in [0, 33, u32::MAX] {
        let message = ContactSheet::new(MARBLES, across).err().unwrap().to_string();
        assert_eq!(message, format!("a contact sheet is 1 to 32 tiles across, not {across}"));
    }
}

/// A small PNG file whose header claims another size.
fn claiming(width: u32, height: u32, bits: u8) -> Vec<u8> {
    let mut file = MARBLES.to_vec();
    // The header is the first chunk, and its checksum follows it.
    file[16..20].copy_from_slice(&width.to_be_bytes());
    file[20..24].copy_from_slice(&height.to_be_bytes());
    file[24] = bits;
    let checksum = crc32(&file[12..29]);
    file[29..33].copy_from_slice(&checksum.to_be_bytes());
    file
}

fn red(width: u32, height: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let picture = RgbaImage::from_pixel(width, height, Rgba([200, 0, 0, 255]));
    picture.write_to(&mut Cursor::new(&mut file), ImageFormat::Png).unwrap();
    file
}

/// Puts an Exif segment with an orientation behind the first marker of a JPEG file.
fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend_from_slice(&[orientation, 0, 0, 0, 0, 0, 0]);
    let len = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &len, &exif, &jpeg[2..]].concat()
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}
