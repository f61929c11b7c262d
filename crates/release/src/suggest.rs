//! Finds what somebody probably meant.

/// Longest word compared, bytes: the comparison costs its square.
const WORD_BYTES_MAX: usize = 64;

/// Returns the candidate nearest to `word`, if it is near: at most one edit per three characters.
pub(crate) fn nearest(word: &str, candidates: &[&'static str]) -> Option<&'static str> {
    let limit = (word.len() / 3).max(1);
    candidates
        .iter()
        .map(|candidate| (distance(word, candidate), *candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edit distance (insert, delete, replace), case ignored.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > WORD_BYTES_MAX || b.len() > WORD_BYTES_MAX {
        return usize::MAX;
    }
    let mut row = [0usize; WORD_BYTES_MAX + 1];
    for (column, cell) in row.iter_mut().enumerate() {
        *cell = column;
    }
    for (index, x) in a.bytes().enumerate() {
        let mut diagonal = index;
        let mut left = index.saturating_add(1);
        let mut cells = row.iter_mut();
        if let Some(first) = cells.next() {
            *first = left;
        }
        for (cell, y) in cells.zip(b.bytes()) {
            let replace = diagonal.saturating_add(usize::from(!x.eq_ignore_ascii_case(&y)));
            diagonal = *cell;
            left = replace
                .min(left.saturating_add(1))
                .min(cell.saturating_add(1));
            *cell = left;
        }
    }
    row.get(b.len()).copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        for (a, b, expected) in [
            ("", "", 0),
            ("a", "", 1),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("Gateway", "gateway", 0),
            ("gatway", "gateway", 1),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn only_near_words_are_suggested() {
        let keys = ["gateway", "address", "dns"];
        assert_eq!(nearest("gatway", &keys), Some("gateway"));
        assert_eq!(nearest("adress", &keys), Some("address"));
        assert_eq!(nearest("dn", &keys), Some("dns"));
        assert_eq!(nearest("colour", &keys), None);
        assert_eq!(nearest(&"x".repeat(1000), &keys), None);
    }
}
