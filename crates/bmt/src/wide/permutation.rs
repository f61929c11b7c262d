//! Keccak-f[1600] over vectors, from eight words of message to four words of digest.
use super::lane::Lane;
use crate::keccak::{PAD_END, ROUND_CONSTANTS};

type State<L> = [<L as Lane>::Vector; 25];

/// Returns the digests of messages of 64 bytes, given as their eight words.
#[inline(always)]
pub(super) fn digests<L: Lane>(l: L, message: [L::Vector; 8]) -> [L::Vector; 4] {
    let zero = l.splat(0);
    let [a, b, c, d, e, f, g, h] = message;
    let (begin, end) = (l.splat(1), l.splat(PAD_END));
    #[rustfmt::skip]
    let mut state = [
        a, b, c, d, e,
        f, g, h, begin, zero,
        zero, zero, zero, zero, zero,
        zero, end, zero, zero, zero,
        zero, zero, zero, zero, zero,
    ];
    for constant in ROUND_CONSTANTS {
        state = round::<L>(l, state, constant);
    }
    let [a, b, c, d, ..] = state;
    [a, b, c, d]
}

/// Theta's sums of the columns.
#[inline(always)]
fn columns<L: Lane>(l: L, a: &State<L>) -> [L::Vector; 5] {
    let column = |x: usize| l.xor3(l.xor3(a[x], a[x + 5], a[x + 10]), a[x + 15], a[x + 20]);
    [column(0), column(1), column(2), column(3), column(4)]
}

/// One round. SPEC FIPS 202 3.2: theta, rho and pi, chi, iota.
#[inline(always)]
fn round<L: Lane>(l: L, a: State<L>, constant: u64) -> State<L> {
    #[rustfmt::skip]
    let [
        a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12,
        a13, a14, a15, a16, a17, a18, a19, a20, a21, a22, a23, a24,
    ] = a;
    let [c0, c1, c2, c3, c4] = columns(l, &a);
    let (r0, r1, r2) = (
        l.rotate::<1, 63>(c0),
        l.rotate::<1, 63>(c1),
        l.rotate::<1, 63>(c2),
    );
    let (r3, r4) = (l.rotate::<1, 63>(c3), l.rotate::<1, 63>(c4));
    let d0 = |a| l.xor3(a, c4, r1);
    let d1 = |a| l.xor3(a, c0, r2);
    let d2 = |a| l.xor3(a, c1, r3);
    let d3 = |a| l.xor3(a, c2, r4);
    let d4 = |a| l.xor3(a, c3, r0);
    let row = |b: [L::Vector; 5]| {
        let [b0, b1, b2, b3, b4] = b;
        [
            l.chi(b0, b1, b2),
            l.chi(b1, b2, b3),
            l.chi(b2, b3, b4),
            l.chi(b3, b4, b0),
            l.chi(b4, b0, b1),
        ]
    };
    let [e0, e1, e2, e3, e4] = row([
        d0(a0),
        l.rotate::<44, 20>(d1(a6)),
        l.rotate::<43, 21>(d2(a12)),
        l.rotate::<21, 43>(d3(a18)),
        l.rotate::<14, 50>(d4(a24)),
    ]);
    let [e5, e6, e7, e8, e9] = row([
        l.rotate::<28, 36>(d3(a3)),
        l.rotate::<20, 44>(d4(a9)),
        l.rotate::<3, 61>(d0(a10)),
        l.rotate::<45, 19>(d1(a16)),
        l.rotate::<61, 3>(d2(a22)),
    ]);
    let [e10, e11, e12, e13, e14] = row([
        l.rotate::<1, 63>(d1(a1)),
        l.rotate::<6, 58>(d2(a7)),
        l.rotate::<25, 39>(d3(a13)),
        l.rotate::<8, 56>(d4(a19)),
        l.rotate::<18, 46>(d0(a20)),
    ]);
    let [e15, e16, e17, e18, e19] = row([
        l.rotate::<27, 37>(d4(a4)),
        l.rotate::<36, 28>(d0(a5)),
        l.rotate::<10, 54>(d1(a11)),
        l.rotate::<15, 49>(d2(a17)),
        l.rotate::<56, 8>(d3(a23)),
    ]);
    let [e20, e21, e22, e23, e24] = row([
        l.rotate::<62, 2>(d2(a2)),
        l.rotate::<55, 9>(d3(a8)),
        l.rotate::<39, 25>(d4(a14)),
        l.rotate::<41, 23>(d0(a15)),
        l.rotate::<2, 62>(d1(a21)),
    ]);
    let e0 = l.xor(e0, l.splat(constant));
    [
        e0, e1, e2, e3, e4, e5, e6, e7, e8, e9, e10, e11, e12, e13, e14, e15, e16, e17, e18, e19,
        e20, e21, e22, e23, e24,
    ]
}
