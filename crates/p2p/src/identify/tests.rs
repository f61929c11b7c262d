use super::*;
use crate::Keypair;
use std::vec;

/// The message as the protocol buffers of the specification describe it.
#[derive(Clone, PartialEq, prost::Message)]
struct Oracle {
    #[prost(bytes = "vec", tag = "1")]
    public_key: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    listen_addrs: Vec<Vec<u8>>,
    #[prost(string, repeated, tag = "3")]
    protocols: Vec<String>,
    #[prost(bytes = "vec", tag = "4")]
    observed_addr: Vec<u8>,
    #[prost(string, tag = "5")]
    protocol_version: String,
    #[prost(string, tag = "6")]
    agent_version: String,
    #[prost(bytes = "vec", tag = "8")]
    signed_peer_record: Vec<u8>,
}

fn delimited(message: &Oracle) -> Vec<u8> {
    prost::Message::encode_length_delimited_to_vec(message)
}

fn read(bytes: &[u8]) -> Option<Info> {
    let mut reader = Reader::default();
    assert_eq!(reader.handle_input(bytes), Ok(bytes.len()));
    reader.finish()
}

#[test]
fn our_answer_is_what_the_specification_describes() {
    let mut config = Config::new(Keypair::ed25519(&[1; 32]), [2; 32], [3; 32]);
    config.agent_version = "agent/1".to_string();
    config.protocols = vec!["/a/1".to_string()];
    config.listen_addrs = vec!["/ip4/1.2.3.4/tcp/5".parse().unwrap()];
    config.observed_addr = Some("/ip4/5.6.7.8/tcp/9".parse().unwrap());
    let bytes = encode(&config, ["/i/1"].into_iter());
    let message: Oracle = prost::Message::decode_length_delimited(&bytes[..]).unwrap();
    assert_eq!(
        message,
        Oracle {
            public_key: config.keypair.public().encode(),
            listen_addrs: vec![vec![4, 1, 2, 3, 4, 6, 0, 5]],
            protocols: vec!["/i/1".to_string(), "/a/1".to_string()],
            observed_addr: vec![4, 5, 6, 7, 8, 6, 0, 9],
            protocol_version: "ipfs/0.1.0".to_string(),
            agent_version: "agent/1".to_string(),
            signed_peer_record: vec![],
        }
    );
}

#[test]
fn parts_are_merged_over_every_split_and_unknown_addresses_skipped() {
    let first = Oracle {
        listen_addrs: vec![vec![4, 1, 2, 3, 4, 6, 0, 5], vec![0xff, 0xff]],
        protocols: vec!["/a/1".to_string()],
        agent_version: "old".to_string(),
        signed_peer_record: vec![9; 100],
        ..Oracle::default()
    };
    let second = Oracle {
        protocols: vec!["/b/1".to_string()],
        agent_version: "new".to_string(),
        observed_addr: vec![4, 5, 6, 7, 8, 6, 0, 9],
        ..Oracle::default()
    };
    let bytes = [delimited(&first), delimited(&second)].concat();
    let expected = Info {
        agent: "new".to_string(),
        protocols: vec!["/a/1".to_string(), "/b/1".to_string()],
        listen_addrs: vec!["/ip4/1.2.3.4/tcp/5".parse().unwrap()],
        observed_addr: Some("/ip4/5.6.7.8/tcp/9".parse().unwrap()),
    };
    for cut in 0..=bytes.len() {
        let mut reader = Reader::default();
        let used = reader.handle_input(&bytes[..cut]).unwrap();
        assert!(used <= cut);
        assert_eq!(reader.handle_input(&bytes[used..]), Ok(bytes.len() - used));
        assert_eq!(reader.finish().as_ref(), Some(&expected));
    }
}

#[test]
fn what_is_kept_is_limited() {
    let long = Oracle {
        agent_version: "é".repeat(200),
        protocols: vec!["p".repeat(300); 3],
        ..Oracle::default()
    };
    let info = read(&delimited(&long)).unwrap();
    assert_eq!(info.agent.len(), 256);
    assert_eq!(info.protocols, Vec::<String>::new());
    let many = Oracle {
        protocols: vec!["/p".to_string(); 1000],
        listen_addrs: vec![vec![0xdd, 0x03]; 1000],
        ..Oracle::default()
    };
    let info = read(&delimited(&many)).unwrap();
    assert_eq!((info.protocols.len(), info.listen_addrs.len()), (128, 64));
    assert_eq!(read(&[]), None);
}

#[test]
fn malformed_and_endless_answers_are_refused() {
    for (bytes, error) in [
        (
            vec![0x81, 0x40],
            Error::Malformed(DecodeError::TooLong {
                length: 8193,
                limit: 8192,
            }),
        ),
        (vec![1, 0x0a], Error::Malformed(DecodeError::Truncated)),
        (
            vec![2, 0x18, 1],
            Error::Malformed(DecodeError::UnexpectedType(3)),
        ),
        (
            vec![3, 0x32, 1, 0xff],
            Error::Malformed(DecodeError::NotText(6)),
        ),
        (vec![0; 11], Error::TooManyParts),
    ] {
        assert_eq!(
            Reader::default().handle_input(&bytes),
            Err(error),
            "{bytes:?}"
        );
    }
    assert_eq!(Reader::default().handle_input(&[0; 10]), Ok(10));
}
