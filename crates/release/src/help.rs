//! Stable error ids with cause and next step.

/// What an error id stands for. `docs/errors.md` has a section for each, with the same words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Help {
    /// `DB` and four digits; never used again for another meaning.
    pub id: &'static str,
    /// What usually causes it.
    pub cause: &'static str,
    /// What to do next.
    pub next_step: &'static str,
}

impl Help {
    pub(crate) const fn new(
        id: &'static str,
        cause: &'static str,
        next_step: &'static str,
    ) -> Self {
        Self {
            id,
            cause,
            next_step,
        }
    }
}

/// Every id of this crate.
pub const ALL: [&[Help]; 3] = [
    &crate::boot::HELP,
    &crate::manifest::HELP,
    &crate::config::HELP,
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::format;

    #[test]
    fn every_id_has_its_section_in_the_documentation() {
        let page = include_str!("../../../docs/errors.md");
        let mut seen = BTreeSet::new();
        for help in ALL.into_iter().flatten() {
            assert!(seen.insert(help.id), "{} is used twice", help.id);
            assert!(help.id.len() == 6 && help.id.starts_with("DB"));
            assert!(help.id[2..].bytes().all(|digit| digit.is_ascii_digit()));
            let heading = format!("\n### {} ", help.id);
            let section = page
                .split_once(&heading)
                .unwrap_or_else(|| panic!("docs/errors.md has no section {}", help.id))
                .1;
            let section = section.split("\n### ").next().unwrap();
            for text in [help.cause, help.next_step] {
                assert!(
                    section.contains(text),
                    "{}: the page lacks {text:?}",
                    help.id
                );
            }
        }
    }

    #[test]
    fn documentation_names_no_id_twice() {
        let page = include_str!("../../../docs/errors.md");
        let mut seen = BTreeSet::new();
        for line in page.lines().filter(|line| line.starts_with("### DB")) {
            assert!(seen.insert(&line[4..10]), "two sections: {line}");
        }
        assert!(seen.len() >= ALL.iter().map(|ids| ids.len()).sum());
    }
}
