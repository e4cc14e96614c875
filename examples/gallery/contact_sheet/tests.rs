use image::{GenericImage as _, RgbaImage};

use super::*;

const MARBLES: &[u8] = include_bytes!("../samples/marbles.png");

#[test]
fn the_tiles_put_together_are_the_picture() {
    let whole = image::load_from_memory(MARBLES).unwrap().to_rgba8();
    let mut together = RgbaImage::new(whole.width(), whole.height());
    for tile in ContactSheet::new(MARBLES, 9).unwrap() {
        let Tile { row, column, rows, columns, image } = tile.unwrap();
        assert_eq!((rows, columns), (9, 9));
        let (left, top) = (part(whole.width(), column, columns).0, part(whole.height(), row, rows).0);
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
    tiny.write_to(&mut std::io::Cursor::new(&mut file), image::ImageFormat::Png).unwrap();
    assert_eq!(ContactSheet::new(&file, 10).unwrap().count(), 8);
}

#[test]
fn a_grid_of_nothing_or_too_much_is_refused() {
    for across in [0, 33, u32::MAX] {
        let message = ContactSheet::new(MARBLES, across).err().unwrap().to_string();
        assert_eq!(message, format!("a contact sheet is 1 to 32 tiles across, not {across}"));
    }
}
