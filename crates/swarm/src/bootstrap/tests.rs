use super::*;
use std::vec;

const PEER: &str = "QmSoLPppuBtQSGwKDZT2M73ULpjvfd3aZ6ha4oFGL1KrGM";
const OTHER: &str = "QmSoLV4Bbm51jM9C4gDYZQ9Cy3U6aXMJDAbzgu2fzaDs64";

fn start(bootnode: &str) -> Bootstrap {
    Bootstrap::new(&[bootnode.parse().unwrap()], Instant::ZERO)
}

fn steps(bootstrap: &mut Bootstrap) -> Vec<Step> {
    core::iter::from_fn(|| bootstrap.poll_step())
        .filter(|step| !matches!(step, Step::Tell(BootstrapStage::Resolving { .. })))
        .collect()
}

fn found(step: &Step) -> &Found {
    match step {
        Step::Found(found) => found,
        other => panic!("{other:?}"),
    }
}

fn query(steps: &[Step]) -> (DnsQueryId, DnsQuery) {
    match steps {
        [Step::Resolve(id, query)] => (*id, query.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_plain_address_is_found_without_dns() {
    let mut bootstrap = start(&format!("/ip4/10.0.0.1/tcp/1634/p2p/{PEER}"));
    let steps = steps(&mut bootstrap);
    assert_eq!(found(&steps[0]).address, "10.0.0.1:1634".parse().unwrap());
    assert_eq!(found(&steps[0]).peer, PeerId::from_base58(PEER));
    assert_eq!(bootstrap.poll_timeout(), None);
}

#[test]
fn dnsaddr_is_followed_to_addresses_of_the_named_peer_only() {
    let mut bootstrap = start(&format!("/dnsaddr/example.org/p2p/{PEER}"));
    let (id, asked) = query(&steps(&mut bootstrap));
    assert_eq!(asked, DnsQuery::Txt("_dnsaddr.example.org".into()));
    let answer = DnsAnswer::Txt(vec![
        format!("dnsaddr=/ip4/10.0.0.1/tcp/1634/p2p/{PEER}"),
        format!("dnsaddr=/ip4/10.0.0.2/tcp/1634/p2p/{OTHER}"),
        format!("dnsaddr=/ip4/10.0.0.3/tcp/1634/ws/p2p/{PEER}"),
        "v=spf1".into(),
        "dnsaddr=garbage".into(),
    ]);
    bootstrap.handle_dns(Instant::ZERO, id, answer);
    let steps = steps(&mut bootstrap);
    assert_eq!(steps.len(), 1);
    assert_eq!(found(&steps[0]).address, "10.0.0.1:1634".parse().unwrap());
}

#[test]
fn dns4_takes_only_addresses_of_its_family() {
    let mut bootstrap = start("/dns4/example.org/tcp/7");
    let (id, asked) = query(&steps(&mut bootstrap));
    assert_eq!(asked, DnsQuery::Addresses("example.org".into()));
    let answer = DnsAnswer::Addresses(vec!["::1".parse().unwrap(), "1.2.3.4".parse().unwrap()]);
    bootstrap.handle_dns(Instant::ZERO, id, answer);
    let steps = steps(&mut bootstrap);
    assert_eq!(steps.len(), 1);
    assert_eq!(found(&steps[0]).address, "1.2.3.4:7".parse().unwrap());
    assert_eq!(found(&steps[0]).peer, None);
}

#[test]
fn a_failed_look_up_is_tried_again_with_growing_pauses() {
    let mut bootstrap = start("/dnsaddr/example.org");
    let mut now = Instant::ZERO;
    for seconds in [2, 4, 8, 16, 30, 30] {
        let (id, _) = query(&steps(&mut bootstrap));
        bootstrap.handle_dns(now, id, DnsAnswer::Failed);
        let retry_in = Duration::from_secs(seconds);
        assert!(
            matches!(&steps(&mut bootstrap)[..], [Step::Tell(BootstrapStage::ResolveFailed { retry_in: told, .. })] if *told == retry_in)
        );
        now = bootstrap.poll_timeout().unwrap();
        bootstrap.handle_timeout(now);
    }
}

#[test]
fn a_zone_that_points_to_itself_ends_at_the_depth_limit() {
    let mut bootstrap = start("/dnsaddr/example.org");
    for _ in 0..DEPTH_MAX {
        let (id, _) = query(&steps(&mut bootstrap));
        let answer = DnsAnswer::Txt(vec!["dnsaddr=/dnsaddr/example.org".into()]);
        bootstrap.handle_dns(Instant::ZERO, id, answer);
    }
    assert!(matches!(
        &steps(&mut bootstrap)[..],
        [Step::Tell(BootstrapStage::ResolveFailed { .. })]
    ));
}

#[test]
fn a_zone_that_branches_ends_at_the_count_limit() {
    let mut bootstrap = start("/dnsaddr/example.org");
    let branches: Vec<String> = (0..100)
        .map(|n| format!("dnsaddr=/dnsaddr/{n}.example.org"))
        .collect();
    let mut asked = 0;
    let mut open: Vec<DnsQueryId> = Vec::new();
    loop {
        for step in steps(&mut bootstrap) {
            if let Step::Resolve(id, _) = step {
                open.push(id);
            }
        }
        let Some(id) = open.pop() else { break };
        asked += 1;
        bootstrap.handle_dns(Instant::ZERO, id, DnsAnswer::Txt(branches.clone()));
    }
    assert_eq!(asked, COUNT_MAX);
}

#[test]
fn a_bootnode_that_cannot_be_dialled_is_named() {
    let mut bootstrap = start("/ip4/10.0.0.1/udp/1634/quic-v1");
    assert!(matches!(
        &steps(&mut bootstrap)[..],
        [Step::Tell(BootstrapStage::Unusable { .. })]
    ));
}
