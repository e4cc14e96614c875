//! A contact sheet: one picture, cut into a grid of tiles that are made one after the other.

use anyhow::{Result, ensure};
use gunmetal::Bytes;
use image::DynamicImage;
use serde::{Deserialize, Serialize};

use crate::picture;

/// One cell of a contact sheet, counted from the top left.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Tile {
    /// Row of this tile, from 0.
    pub row: u32,
    /// Column of this tile, from 0.
    pub column: u32,
    /// Rows of the whole sheet.
    pub rows: u32,
    /// Columns of the whole sheet.
    pub columns: u32,
    /// The pixels, a JPEG or PNG file.
    pub image: Bytes,
}

/// Makes the tiles of a picture, row by row.
///
/// Nothing is encoded before it is asked for, so a reader that is slow or leaves costs nothing.
pub(crate) struct ContactSheet {
    picture: DynamicImage,
    rows: u32,
    columns: u32,
    next: u32,
}

impl ContactSheet {
    /// Decodes a picture, to be cut into `across` by `across` tiles (fewer if it has fewer pixels).
    pub(crate) fn new(file: &[u8], across: u32) -> Result<Self> {
        ensure!((1..=32).contains(&across), "a contact sheet is 1 to 32 tiles across, not {across}");
        let picture = picture::shrink(picture::decode(file)?, SHEET_SIZE);
        let (rows, columns) = (across.min(picture.height()), across.min(picture.width()));
        Ok(Self { picture, rows, columns, next: 0 })
    }

    fn cut(&self, row: u32, column: u32) -> Result<Tile> {
        let (left, width) = part(self.picture.width(), column, self.columns);
        let (top, height) = part(self.picture.height(), row, self.rows);
        let image = picture::encode(&self.picture.crop_imm(left, top, width, height))?;
        Ok(Tile { row, column, rows: self.rows, columns: self.columns, image })
    }
}

impl Iterator for ContactSheet {
    type Item = Result<Tile>;

    fn next(&mut self) -> Option<Self::Item> {
        let (row, column) = (self.next / self.columns, self.next % self.columns);
        self.next += 1;
        (row < self.rows).then(|| self.cut(row, column))
    }
}

/// Start and length of the `index`th of `count` parts of `len`; together they cover it without a gap.
fn part(len: u32, index: u32, count: u32) -> (u32, u32) {
    let start = len * index / count;
    (start, len * (index + 1) / count - start)
}

/// The longer side of the whole sheet, in pixels.
const SHEET_SIZE: u32 = 1280;
