//! The known word that an unknown one was most likely meant to be.

/// The word of `known` that is nearest to `word`, if any is near: at most a third of its letters differ.
/// A transposition counts as one difference; letter case, `-` and `_` count for nothing.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(word);
    known
        .into_iter()
        .map(|candidate| {
            let other = fold(candidate);
            (distance(&folded, &other), folded.len().max(other.len()), candidate)
        })
        .filter(|(distance, length, _)| distance * 3 <= *length)
        .min_by_key(|(distance, ..)| *distance)
        .map(|(.., candidate)| candidate)
}

fn fold(word: &str) -> Vec<char> {
    word.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).take(100).collect()
}

/// Damerau's edit distance, in the form that edits no place twice. Three rows of the matrix are enough.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i - 1] == *y && *x == b[j - 1] {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(a: &str, b: &str) -> usize {
        distance(&fold(a), &fold(b))
    }

    #[test]
    fn distances() {
        assert_eq!(between("", ""), 0);
        assert_eq!(between("", "abc"), 3);
        assert_eq!(between("adress", "address"), 1);
        assert_eq!(between("pulgin", "plugin"), 1);
        assert_eq!(between("kitten", "sitting"), 3);
        assert_eq!(between("command-line", "Command_Line"), 0);
    }

    #[test]
    fn the_nearest_is_named_and_nothing_far_off() {
        let known = ["address", "protocol", "tls"];
        assert_eq!(nearest("adress", known), Some("address"));
        assert_eq!(nearest("protocl", known), Some("protocol"));
        assert_eq!(nearest("TLS", known), Some("tls"));
        assert_eq!(nearest("certificate", known), None);
        assert_eq!(nearest("", known), None);
    }
}
