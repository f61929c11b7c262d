//! Redundancy levels: how many parity chunks stand behind a group of data chunks.

/// Redundancy level of a file tree. Bee's names say what share of the network's answers may fail: 0, 1, 5, 10 and 50 of a hundred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum RedundancyLevel {
    /// Level 0: no parity, no replicas.
    #[default]
    None,
    /// Level 1: 9 parities behind 119 chunks, 2 replicas of the root.
    Medium,
    /// Level 2: 21 parities behind 107 chunks, 4 replicas.
    Strong,
    /// Level 3: 31 parities behind 97 chunks, 8 replicas.
    Insane,
    /// Level 4: 89 parities behind 39 chunks, 16 replicas.
    Paranoid,
}

/// Rows (data chunks from, parity chunks), the largest number first: the first row that a group reaches counts.
type Table = &'static [(u8, u8)];

impl RedundancyLevel {
    /// All levels, the weakest first.
    pub const ALL: [Self; 5] = [
        Self::None,
        Self::Medium,
        Self::Strong,
        Self::Insane,
        Self::Paranoid,
    ];

    /// Returns the level with this number, 0 to 4.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Returns its number, as in the header `Swarm-Redundancy-Level` and in spans.
    pub const fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Medium => 1,
            Self::Strong => 2,
            Self::Insane => 3,
            Self::Paranoid => 4,
        }
    }

    /// Returns the number of dispersed replicas of a root chunk.
    pub const fn replicas(self) -> usize {
        match self {
            Self::None => 0,
            Self::Medium => 2,
            Self::Strong => 4,
            Self::Insane => 8,
            Self::Paranoid => 16,
        }
    }

    /// Returns the number of parity chunks behind `data` chunks under one parent.
    pub fn parities(self, data: usize, encrypted: bool) -> usize {
        let row = self
            .table(encrypted)
            .iter()
            .find(|(from, _)| data >= usize::from(*from));
        row.map_or(0, |(_, parities)| usize::from(*parities))
    }

    // SPEC bee pkg/file/redundancy/level.go, "TABLE INITS".
    const fn table(self, encrypted: bool) -> Table {
        match (self, encrypted) {
            (Self::None, _) => &[],
            (Self::Medium, false) => MEDIUM,
            (Self::Medium, true) => MEDIUM_ENCRYPTED,
            (Self::Strong, false) => STRONG,
            (Self::Strong, true) => STRONG_ENCRYPTED,
            (Self::Insane, false) => INSANE,
            (Self::Insane, true) => INSANE_ENCRYPTED,
            (Self::Paranoid, false) => PARANOID,
            (Self::Paranoid, true) => PARANOID_ENCRYPTED,
        }
    }
}

const MEDIUM: Table = &[
    (95, 9),
    (69, 8),
    (47, 7),
    (29, 6),
    (15, 5),
    (6, 4),
    (2, 3),
    (1, 2),
];

const MEDIUM_ENCRYPTED: Table = &[(47, 9), (34, 8), (23, 7), (14, 6), (7, 5), (3, 4), (1, 3)];

#[rustfmt::skip]
const STRONG: Table = &[
    (105, 21), (96, 20), (87, 19), (78, 18), (70, 17), (62, 16), (54, 15), (47, 14), (40, 13),
    (33, 12), (27, 11), (21, 10), (16, 9), (11, 8), (7, 7), (4, 6), (2, 5), (1, 4),
];

#[rustfmt::skip]
const STRONG_ENCRYPTED: Table = &[
    (52, 21), (48, 20), (43, 19), (39, 18), (35, 17), (31, 16), (27, 15), (23, 14), (20, 13),
    (16, 12), (13, 11), (10, 10), (8, 9), (5, 8), (3, 7), (2, 6), (1, 5),
];

#[rustfmt::skip]
const INSANE: Table = &[
    (93, 31), (88, 30), (83, 29), (78, 28), (74, 27), (69, 26), (64, 25), (60, 24), (55, 23),
    (51, 22), (46, 21), (42, 20), (38, 19), (34, 18), (30, 17), (27, 16), (23, 15), (20, 14),
    (17, 13), (14, 12), (11, 11), (9, 10), (6, 9), (4, 8), (3, 7), (2, 6), (1, 5),
];

// 7 does not occur: bee's table goes from 8 to 6.
#[rustfmt::skip]
const INSANE_ENCRYPTED: Table = &[
    (46, 31), (44, 30), (41, 29), (39, 28), (37, 27), (34, 26), (32, 25), (30, 24), (27, 23),
    (25, 22), (23, 21), (21, 20), (19, 19), (17, 18), (15, 17), (13, 16), (11, 15), (10, 14),
    (8, 13), (7, 12), (5, 11), (4, 10), (3, 9), (2, 8), (1, 6),
];

#[rustfmt::skip]
const PARANOID: Table = &[
    (37, 89), (36, 87), (35, 86), (34, 84), (33, 83), (32, 81), (31, 80), (30, 78), (29, 76),
    (28, 75), (27, 73), (26, 71), (25, 70), (24, 68), (23, 66), (22, 65), (21, 63), (20, 61),
    (19, 59), (18, 58), (17, 56), (16, 54), (15, 52), (14, 50), (13, 48), (12, 47), (11, 45),
    (10, 43), (9, 40), (8, 38), (7, 36), (6, 34), (5, 31), (4, 29), (3, 26), (2, 23), (1, 19),
];

#[rustfmt::skip]
const PARANOID_ENCRYPTED: Table = &[
    (18, 87), (17, 84), (16, 81), (15, 78), (14, 75), (13, 71), (12, 68), (11, 65), (10, 61),
    (9, 58), (8, 54), (7, 50), (6, 47), (5, 43), (4, 38), (3, 34), (2, 29), (1, 23),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip_and_end_at_4() {
        for (number, level) in (0..).zip(RedundancyLevel::ALL) {
            assert_eq!(level.number(), number);
            assert_eq!(RedundancyLevel::from_number(number), Some(level));
        }
        assert_eq!(RedundancyLevel::from_number(5), None);
        assert_eq!(RedundancyLevel::from_number(255), None);
    }

    #[test]
    fn tables_descend_in_both_columns() {
        for level in RedundancyLevel::ALL {
            for encrypted in [false, true] {
                let table = level.table(encrypted);
                assert!(
                    table
                        .windows(2)
                        .all(|pair| pair[0].0 > pair[1].0 && pair[0].1 > pair[1].1)
                );
                assert_eq!(table.last().map_or(1, |row| row.0), 1);
            }
        }
    }

    #[test]
    fn parities_follow_the_first_row_reached() {
        let medium = |data| RedundancyLevel::Medium.parities(data, false);
        assert_eq!((medium(119), medium(95), medium(94)), (9, 9, 8));
        assert_eq!((medium(2), medium(1), medium(0)), (3, 2, 0));
        assert_eq!(RedundancyLevel::Insane.parities(1, true), 6);
        assert_eq!(RedundancyLevel::None.parities(128, false), 0);
    }
}
