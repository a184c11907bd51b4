//! A treemap's layout: rectangles as square as can be, each as large as its weight.

/// A rectangle, in any unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Area {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Fills `whole` with one rectangle for each weight, in their order. Weights are positive and fall; the layout is that
/// of Bruls, Huizing and van Wijk, "Squarified treemaps" (2000).
pub(super) fn squarify(weights: &[f64], whole: Area) -> Vec<Area> {
    let total: f64 = weights.iter().sum();
    if total <= 0.0 || whole.width <= 0.0 || whole.height <= 0.0 {
        return weights.iter().map(|_| Area { width: 0.0, height: 0.0, ..whole }).collect();
    }
    let scale = whole.width * whole.height / total;
    let areas: Vec<f64> = weights.iter().map(|weight| weight * scale).collect();
    let mut placed = Vec::with_capacity(areas.len());
    let mut left = whole;
    let mut rest = areas.as_slice();
    while !rest.is_empty() {
        let side = left.width.min(left.height);
        let mut taken = 1;
        while taken < rest.len() && worst(&rest[..=taken], side) <= worst(&rest[..taken], side) {
            taken += 1;
        }
        let (row, others) = rest.split_at(taken);
        left = place(row, left, &mut placed);
        rest = others;
    }
    placed
}

/// The worst ratio of sides in a row along a side of this length.
fn worst(row: &[f64], side: f64) -> f64 {
    let sum: f64 = row.iter().sum();
    let ratio = |area: &f64| {
        let (long, short) = (side * side * area, sum * sum);
        (long / short).max(short / long)
    };
    row.iter().map(ratio).fold(0.0, f64::max)
}

/// Lays a row along the shorter side; what is left.
fn place(row: &[f64], left: Area, placed: &mut Vec<Area>) -> Area {
    let sum: f64 = row.iter().sum();
    if left.width >= left.height {
        let width = (sum / left.height).min(left.width);
        let mut y = left.y;
        for area in row {
            let height = left.height * area / sum;
            placed.push(Area { x: left.x, y, width, height });
            y += height;
        }
        Area { x: left.x + width, width: left.width - width, ..left }
    } else {
        let height = (sum / left.width).min(left.height);
        let mut x = left.x;
        for area in row {
            let width = left.width * area / sum;
            placed.push(Area { x, y: left.y, width, height });
            x += width;
        }
        Area { y: left.y + height, height: left.height - height, ..left }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WHOLE: Area = Area { x: 0.0, y: 0.0, width: 6.0, height: 4.0 };

    #[test]
    fn the_example_of_the_paper_comes_out() {
        let areas = squarify(&[6.0, 6.0, 4.0, 3.0, 2.0, 2.0, 1.0], WHOLE);
        assert_eq!(areas[0], Area { x: 0.0, y: 0.0, width: 3.0, height: 2.0 });
        assert_eq!(areas[1], Area { x: 0.0, y: 2.0, width: 3.0, height: 2.0 });
        assert!((areas[2].x - 3.0).abs() < 1e-9 && (areas[2].height - 7.0 / 3.0).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn every_rectangle_has_its_share_and_lies_inside(mut weights in prop::collection::vec(1.0..1e6_f64, 1..80)) {
            weights.sort_by(|a, b| b.total_cmp(a));
            let total: f64 = weights.iter().sum();
            let areas = squarify(&weights, WHOLE);
            prop_assert_eq!(areas.len(), weights.len());
            for (area, weight) in areas.iter().zip(&weights) {
                prop_assert!((area.width * area.height - weight / total * 24.0).abs() < 1e-6);
                prop_assert!(area.x >= 0.0 && area.x + area.width <= 6.0 + 1e-9);
                prop_assert!(area.y >= 0.0 && area.y + area.height <= 4.0 + 1e-9);
            }
        }
    }

    #[test]
    fn nothing_fills_nothing() {
        assert!(squarify(&[], WHOLE).is_empty());
        assert_eq!(squarify(&[0.0], WHOLE).len(), 1);
    }
}
