//! Names that somebody may have meant who wrote one that nobody knows.

/// Names that are offered instead of one.
const ALIKE_MAX: usize = 3;

/// Those of `known` that `name` may have been meant for, the likeliest first. Upper and lower case
/// are alike.
pub(crate) fn alike<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<String> {
    let name = name.to_ascii_lowercase();
    let mut near: Vec<(usize, &str)> = known
        .map(|known| (distance(&name, &known.to_ascii_lowercase()), known))
        .filter(|(distance, known)| *distance <= known.len().max(name.len()) / 3 + 1)
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(ALIKE_MAX).map(|(_, known)| known.to_owned()).collect()
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(&b) {
            let cost = diagonal + usize::from(from != *to);
            diagonal = *cell;
            left = cost.min(left + 1).min(diagonal + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_names_that_are_alike() {
        let known = || ["sha256", "resize", "umbel.noop"].into_iter();
        assert_eq!(alike("sha265", known()), ["sha256"]);
        assert_eq!(alike("Resize", known()), ["resize"]);
        assert!(alike("invoice", known()).is_empty());
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
