//! Pictures: made up, read, written and scaled. Real ones, in a format (PPM) that needs no library and that
//! most viewers open.

use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::path::Path;

/// A picture of so many columns and rows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Red, green and blue of each point, row by row.
    points: Vec<[u8; 3]>,
}

impl Picture {
    /// Hills at dusk, others for each `seed`.
    pub(crate) fn landscape(width: usize, height: usize, seed: u64) -> Self {
        let shift = seed as f64 * 1.7;
        let ridge = |x: f64, hill: f64| {
            let wave = ((x * (2.0 + hill) + shift) * 2.0).sin() + ((x * 7.0 + shift) * hill).sin();
            0.35 + 0.15 * hill + 0.06 * wave
        };
        let ridges: Vec<[f64; 3]> = (0..width)
            .map(|x| [1.0, 2.0, 3.0].map(|hill| ridge(x as f64 / width as f64, hill)))
            .collect();
        let mut points = Vec::with_capacity(width * height);
        for y in 0..height {
            let y = y as f64 / height as f64;
            for ridge in &ridges {
                let hill = ridge.iter().filter(|ridge| y > **ridge).count();
                points.push(match hill {
                    0 => [255.0, 120.0 + 120.0 * y, 90.0 + 60.0 * y].map(|shade| shade as u8),
                    hill => [90, 70, 110].map(|shade: u8| shade / hill as u8),
                });
            }
        }
        Self { width, height, points }
    }

    /// The same with its longer side of `side` points: each is the mean of those that it stands for.
    pub(crate) fn thumbnail(&self, side: usize) -> Self {
        let longer = self.width.max(self.height);
        let scaled = |length: usize| (length * side / longer).max(1);
        let (width, height) = (scaled(self.width), scaled(self.height));
        let range = |at: usize, of: usize, length: usize| {
            let first = at * length / of;
            first..((at + 1) * length / of).max(first + 1)
        };
        let mut points = Vec::with_capacity(width * height);
        for y in 0..height {
            for x in 0..width {
                let (mut sum, mut count) = ([0_u64; 3], 0);
                for row in range(y, height, self.height) {
                    let columns = range(x, width, self.width);
                    let row = row * self.width;
                    for point in &self.points[row + columns.start..row + columns.end] {
                        for (sum, part) in sum.iter_mut().zip(point) {
                            *sum += u64::from(*part);
                        }
                        count += 1;
                    }
                }
                points.push(sum.map(|sum| (sum / count) as u8));
            }
        }
        Self { width, height, points }
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let mut bytes = format!("P6\n{} {}\n255\n", self.width, self.height).into_bytes();
        bytes.extend_from_slice(self.points.as_flattened());
        fs::write(path, bytes)
    }

    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path)?;
        Self::parse(&bytes).ok_or_else(|| Error::new(ErrorKind::InvalidData, "this is no picture"))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(b"P6\n")?;
        let mut line = || {
            let end = rest.iter().position(|byte| *byte == b'\n')?;
            let text = std::str::from_utf8(&rest[..end]).ok()?;
            rest = &rest[end + 1..];
            Some(text)
        };
        let (width, height) = line()?.split_once(' ')?;
        let (width, height): (usize, usize) = (width.parse().ok()?, height.parse().ok()?);
        let is_plain = line()? == "255";
        let (points, spare) = rest.as_chunks();
        let is_whole = spare.is_empty() && width > 0 && width.checked_mul(height)? == points.len();
        (is_plain && is_whole).then(|| Self { width, height, points: points.to_vec() })
    }
}
