use super::*;
use std::vec;

const TLS_THEN_NOISE: &[u8] = b"\x13/multistream/1.0.0\n\x0b/tls/1.0.0\n\x07/noise\nrest";

/// Feeds `input` in pieces of the given sizes, the way a stream's buffer is fed: what is not used stays in front.
fn feed<T>(
    input: &[u8],
    cuts: &[usize],
    mut step: impl FnMut(&[u8]) -> (usize, Option<T>),
) -> Option<(T, Vec<u8>)> {
    let mut pending = vec![];
    let mut from = 0;
    for cut in cuts.iter().copied().chain([input.len()]) {
        pending.extend_from_slice(&input[from..cut]);
        from = cut;
        let (used, result) = step(&pending);
        pending.drain(..used);
        if let Some(result) = result {
            pending.extend_from_slice(&input[from..]);
            return Some((result, pending));
        }
    }
    None
}

fn every_split(length: usize) -> Vec<Vec<usize>> {
    let mut splits: Vec<Vec<usize>> = (0..=length).map(|at| vec![at]).collect();
    splits.push((0..length).collect());
    splits
}

#[test]
fn a_listener_refuses_tls_accepts_noise_and_leaves_the_payload() {
    for cuts in every_split(TLS_THEN_NOISE.len()) {
        let mut listener = Listener::default();
        let mut out = vec![];
        let result = feed(TLS_THEN_NOISE, &cuts, |bytes| {
            listener
                .handle_input(bytes, ["/x", "/noise"].into_iter(), &mut out)
                .unwrap()
        });
        assert_eq!(result, Some((1, b"rest".to_vec())), "{cuts:?}");
        assert_eq!(out, b"\x13/multistream/1.0.0\n\x03na\n\x07/noise\n");
    }
}

#[test]
fn a_dialer_falls_back_to_the_next_proposal_and_leaves_the_payload() {
    let answers = b"\x13/multistream/1.0.0\n\x03na\n\x05/b/1\nrest";
    for cuts in every_split(answers.len()) {
        let mut out = vec![];
        let mut dialer = Dialer::new(&["/a/1", "/b/1", "/c/1"], &mut out);
        assert_eq!(out, b"\x13/multistream/1.0.0\n\x05/a/1\n");
        out.clear();
        let result = feed(answers, &cuts, |bytes| {
            let (used, answer) = dialer.handle_input(bytes, &mut out).unwrap();
            (used, (answer != Answer::Pending).then_some(answer))
        });
        assert_eq!(result, Some((Answer::Accepted(1), b"rest".to_vec())));
        assert_eq!(out, b"\x05/b/1\n");
    }
}

#[test]
fn a_dialer_whose_proposals_are_all_refused_says_so() {
    let mut out = vec![];
    let mut dialer = Dialer::new(&["/a", "/b"], &mut out);
    let answers = b"\x13/multistream/1.0.0\n\x03na\n\x03na\n";
    assert_eq!(
        dialer.handle_input(answers, &mut out),
        Ok((answers.len(), Answer::Refused))
    );
    let mut dialer = Dialer::new(&[], &mut out);
    assert_eq!(
        dialer.handle_input(answers, &mut out),
        Ok((24, Answer::Refused))
    );
}

#[test]
fn malformed_negotiations_are_refused_with_their_cause() {
    let header = b"\x13/multistream/1.0.0\n";
    let with_header = |rest: &[u8]| [header, rest].concat();
    for (input, dialer_error, listener_error) in [
        (
            b"\x13/multistream/2.0.0\n".to_vec(),
            Some(Error::NoHeader),
            Some(Error::NoHeader),
        ),
        (
            b"\x03/x\0".to_vec(),
            Some(Error::NoNewline),
            Some(Error::NoNewline),
        ),
        (
            b"\x00".to_vec(),
            Some(Error::NoNewline),
            Some(Error::NoNewline),
        ),
        (
            vec![0x81, 0x08],
            Some(Error::TokenTooLong),
            Some(Error::TokenTooLong),
        ),
        (
            vec![0x80, 0x80, 0x80],
            Some(Error::TokenTooLong),
            Some(Error::TokenTooLong),
        ),
        (
            vec![0xff; 16],
            Some(Error::TokenTooLong),
            Some(Error::TokenTooLong),
        ),
        (with_header(b"\x03/y\n"), Some(Error::WrongAnswer), None),
        (
            with_header(&b"\x03/y\n".repeat(33)),
            Some(Error::WrongAnswer),
            Some(Error::TooManyProposals),
        ),
    ] {
        let mut out = vec![];
        let mut dialer = Dialer::new(&["/x"], &mut out);
        assert_eq!(
            dialer.handle_input(&input, &mut out).err(),
            dialer_error,
            "{input:?}"
        );
        let result = Listener::default().handle_input(&input, ["/x"].into_iter(), &mut out);
        assert_eq!(result.err(), listener_error, "{input:?}");
    }
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        let mut out = vec![];
        let _ = Dialer::new(&["/x"], &mut out).handle_input(&bytes, &mut out);
        let _ = Listener::default().handle_input(&bytes, ["/x"].into_iter(), &mut out);
        let mut padded = b"\x13/multistream/1.0.0\n".to_vec();
        padded.extend_from_slice(&bytes);
        let _ = Dialer::new(&["/x"], &mut out).handle_input(&padded, &mut out);
        let _ = Listener::default().handle_input(&padded, ["/x"].into_iter(), &mut out);
    }
}
