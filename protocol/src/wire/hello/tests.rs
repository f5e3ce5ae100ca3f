//! Golden bytes of hellos and answers, and every verdict.

use super::*;

fn node(id: u128) -> NodeHello {
    NodeHello {
        node: NodeId(id),
        incarnation: Incarnation(5),
        start: 77,
        synced: 10,
        name: "a".into(),
        listen: "127.0.0.1:7400".parse().unwrap(),
        cluster: Some(ClusterId(9)),
        cluster_name: "c".into(),
    }
}

fn hello(node: NodeHello) -> Hello {
    Hello { versions: Versions { min: 1, max: 2 }, who: Who::Node(node) }
}

fn client() -> Hello {
    Hello { versions: Versions { min: 1, max: 2 }, who: Who::Client { name: "cli".into() } }
}

fn split(bytes: &[u8]) -> (Head, &[u8]) {
    let (head, body) = bytes.split_first_chunk().unwrap();
    let head = Head::decode(*head).unwrap();
    assert_eq!(head.body_bytes, body.len());
    (head, body)
}

fn known(incarnation: u64, start: Option<u64>) -> Option<Known> {
    Some(Known { incarnation: Incarnation(incarnation), start, synced: 10, lives: false })
}

const NODE: Proof<'_> = Proof { name: "a", role: Role::Node };
const CLIENT: Proof<'_> = Proof { name: "cli", role: Role::Client };

#[test]
fn golden_bytes_of_a_client() {
    let bytes = b"umbl\x01\0\x02\0\x0a\0\x01\x01\0\0\x05\x03\0cli";
    assert_eq!(client().encode(), bytes);
    let (head, body) = split(bytes);
    assert_eq!(Hello::decode(head, body), Ok(client()));
}

#[test]
fn golden_bytes_of_a_node() {
    let mut bytes = b"umbl\x01\0\x02\0\x5c\0".to_vec();
    bytes.extend(b"\x01\x01\0\x01");
    bytes.extend(b"\x02\x10\0\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    bytes.extend(b"\x03\x08\0\x05\0\0\0\0\0\0\0");
    bytes.extend(b"\x04\x08\0\x4d\0\0\0\0\0\0\0");
    bytes.extend(b"\x05\x01\0a");
    bytes.extend(b"\x06\x06\0\x7f\0\0\x01\xe8\x1c");
    bytes.extend(b"\x07\x10\0\x09\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    bytes.extend(b"\x08\x01\0c");
    bytes.extend(b"\x09\x08\0\x0a\0\0\0\0\0\0\0");
    assert_eq!(hello(node(3)).encode(), bytes);
    let (head, body) = split(&bytes);
    assert_eq!(Hello::decode(head, body), Ok(hello(node(3))));
}

#[test]
fn golden_bytes_of_answers() {
    let welcome = Answer { hello: client(), verdict: Ok(2) };
    let bytes = b"umbl\x01\0\x02\0\x0f\0\x01\x01\0\0\x05\x03\0cli\x10\x02\0\x02\0";
    assert_eq!(welcome.encode(), bytes);
    let (head, body) = split(bytes);
    assert_eq!(Answer::decode(head, body), Ok(welcome));

    let refused = Answer { hello: client(), verdict: Err(Refusal::Other("no".into())) };
    let bytes = b"umbl\x01\0\x02\0\x16\0\x01\x01\0\0\x05\x03\0cli\x11\x04\0\x05\x02no\x12\x02\0no";
    assert_eq!(refused.encode(), bytes);
    let (head, body) = split(bytes);
    assert_eq!(Answer::decode(head, body), Ok(refused));
}

#[test]
fn fields_of_later_versions_are_skipped() {
    let mut bytes = client().encode();
    bytes.extend(b"\xfe\x02\0??");
    bytes[8] += 5;
    let (head, body) = split(&bytes);
    assert_eq!(Hello::decode(head, body), Ok(client()));
}

#[test]
fn reasons_of_later_versions_are_shown_in_their_words() {
    let mut bytes = client().encode();
    bytes.extend(b"\x11\x01\0\xc8\x12\x07\0too hot");
    bytes[8] += 14;
    let (head, body) = split(&bytes);
    let answer = Answer::decode(head, body).unwrap();
    assert_eq!(answer.verdict, Err(Refusal::Other("too hot".into())));
}

#[test]
fn what_is_not_a_hello_is_refused() {
    assert_eq!(Head::decode(*b"GET / HTTP"), Err(HelloError::NotUmbel));
    assert_eq!(
        Head::decode(*b"umbl\x01\0\x01\0\xff\xff"),
        Err(HelloError::TooLong { bytes: 0xffff })
    );
    let bytes = hello(node(3)).encode();
    let (head, body) = split(&bytes);
    for len in 0..body.len() {
        assert!(Hello::decode(head, &body[..len]).is_err(), "cut at {len}");
    }
    let long = Hello { who: Who::Client { name: "x".repeat(129) }, ..client() }.encode();
    let (head, body) = split(&long);
    assert_eq!(Hello::decode(head, body), Err(HelloError::Malformed { field: "name" }));
}

#[test]
fn every_refusal_survives_the_wire() {
    let versions = Versions { min: 1, max: 2 };
    let name = "n".repeat(crate::limits::NAME_BYTES_MAX);
    let refusals = [
        Refusal::AnotherCluster {
            own: ClusterId(1),
            own_name: name.clone(),
            other: ClusterId(2),
            other_name: name.clone(),
        },
        Refusal::Duplicate,
        Refusal::InUse { node: NodeId(1), incarnation: Incarnation(3) },
        Refusal::NotNodeCertificate { node: NodeId(1) },
        Refusal::NoCommonVersion { own: versions, other: versions },
        Refusal::Other("no".into()),
        Refusal::StaleIncarnation { node: NodeId(1), known: Incarnation(3), told: Incarnation(2) },
        Refusal::TooMany { limit: 7 },
        Refusal::WrongClusterName { own: name.clone(), other: name },
        Refusal::Yourself,
    ];
    for refusal in refusals {
        let answer = Answer { hello: hello(node(1)), verdict: Err(refusal) };
        let bytes = answer.encode();
        let (head, body) = split(&bytes);
        assert_eq!(Answer::decode(head, body), Ok(answer));
    }
}

#[test]
fn versions_meet_at_the_newest_common_one() {
    let range = |min, max| Versions { min, max };
    assert_eq!(range(1, 2).common(range(2, 3)), Some(2));
    assert_eq!(range(2, 3).common(range(1, 9)), Some(3));
    assert_eq!(range(1, 1).common(range(2, 2)), None);
    let newer = Hello { versions: range(3, 4), ..hello(node(2)) };
    assert_eq!(
        judge(&hello(node(1)), None, &newer, NODE),
        Err(Refusal::NoCommonVersion { own: range(1, 2), other: range(3, 4) })
    );
}

#[test]
fn members_and_blank_nodes_go_on() {
    let own = hello(node(1));
    assert_eq!(judge(&own, None, &hello(node(2)), NODE), Ok(2));
    let blank = hello(NodeHello { cluster: None, ..node(2) });
    assert_eq!(judge(&own, None, &blank, NODE), Ok(2));
    assert_eq!(judge(&blank, None, &own, NODE), Ok(2));
    assert_eq!(judge(&own, None, &client(), CLIENT), Ok(2));
    assert_eq!(judge(&own, None, &client(), NODE), Ok(2), "a node may do what a client may");
    assert_eq!(judge(&client(), None, &own, NODE), Ok(2));
}

#[test]
fn nobody_goes_by_the_name_of_another() {
    let judged = |name| {
        let proof = Proof { name, role: Role::Node };
        judge(&hello(node(1)), None, &hello(node(2)), proof)
    };
    assert_eq!(judged("a"), Ok(2));
    assert_eq!(judged(SHARED_NAME), Ok(2), "nodes of one host share a certificate");
    let refusal = judged("b").unwrap_err();
    assert_eq!(refusal, Refusal::WrongName { told: "a".into(), proven: "b".into() });
    assert!(refusal.to_string().contains("`umbel ca issue a --dir DIR`"), "{refusal}");
}

#[test]
fn clusters_do_not_mix() {
    let own = hello(node(1));
    let other = hello(NodeHello { cluster: Some(ClusterId(8)), ..node(2) });
    let refusal = judge(&own, None, &other, NODE).unwrap_err();
    assert!(matches!(refusal, Refusal::AnotherCluster { own: ClusterId(9), .. }), "{refusal}");
    let other = hello(NodeHello { cluster: None, cluster_name: "d".into(), ..node(2) });
    assert_eq!(
        judge(&own, None, &other, NODE),
        Err(Refusal::WrongClusterName { own: "c".into(), other: "d".into() })
    );
}

#[test]
fn a_client_certificate_does_not_make_a_node() {
    assert_eq!(
        judge(&hello(node(1)), None, &hello(node(2)), CLIENT),
        Err(Refusal::NotNodeCertificate { node: NodeId(2) })
    );
}

#[test]
fn only_the_same_process_or_a_later_start_comes_back() {
    let own = hello(node(1));
    let other = hello(node(2));
    let judged = |known| judge(&own, known, &other, NODE);
    assert_eq!(judged(known(4, Some(1))), Ok(2), "restarted");
    assert_eq!(judged(known(5, Some(77))), Ok(2), "reconnected");
    assert_eq!(judged(known(5, None)), Ok(2), "heard of, never met");
    assert_eq!(
        judged(known(5, Some(1))),
        Err(Refusal::InUse { node: NodeId(2), incarnation: Incarnation(5) })
    );
    assert_eq!(
        judged(known(6, None)),
        Err(Refusal::StaleIncarnation {
            node: NodeId(2),
            known: Incarnation(6),
            told: Incarnation(5)
        })
    );
}

#[test]
fn meeting_oneself_is_told_from_meeting_a_copy() {
    let own = hello(node(1));
    let judged = |other| judge(&own, None, &hello(other), NODE).unwrap_err();
    assert_eq!(judged(node(1)), Refusal::Yourself);
    let twin = NodeHello { start: 78, ..node(1) };
    assert!(matches!(judged(twin.clone()), Refusal::InUse { .. }));
    let later = NodeHello { incarnation: Incarnation(6), ..twin.clone() };
    assert!(matches!(judged(later), Refusal::InUse { .. }));
    let older = NodeHello { incarnation: Incarnation(4), ..twin };
    assert!(matches!(judged(older), Refusal::InUse { .. }), "which is the copy others must say");
}

#[test]
fn nobody_takes_the_place_of_a_process_that_answers() {
    let judged = |known, other| judge(&hello(node(1)), Some(known), &hello(other), NODE);
    let present = Known { incarnation: Incarnation(5), start: Some(77), synced: 10, lives: true };
    let copy = NodeHello { incarnation: Incarnation(6), start: 78, synced: 50, ..node(2) };
    let refusal = Refusal::InUse { node: NodeId(2), incarnation: Incarnation(6) };
    assert_eq!(judged(present, copy.clone()), Err(refusal));
    assert_eq!(judged(Known { lives: false, ..present }, copy), Ok(2));
    assert_eq!(judged(present, node(2)), Ok(2), "it may connect once more itself");
}

#[test]
fn whoever_has_lost_what_it_had_on_disk_is_refused() {
    let judged = |known, other| judge(&hello(node(1)), Some(known), &hello(other), NODE);
    let before = Known { incarnation: Incarnation(4), start: Some(3), synced: 11, lives: false };
    let restored = Refusal::RolledBack { node: NodeId(2), known: 11, told: 10 };
    assert_eq!(judged(before, node(2)), Err(restored.clone()));
    // Others may have told of the start before anybody met it.
    let heard_of = Known { incarnation: Incarnation(5), start: None, ..before };
    assert_eq!(judged(heard_of, node(2)), Err(restored));
    assert_eq!(judged(Known { synced: 10, ..before }, node(2)), Ok(2));
    // What the same process said a moment ago may be more than in a hello that was under way.
    let same = Known { incarnation: Incarnation(5), start: Some(77), ..before };
    assert_eq!(judged(same, node(2)), Ok(2));
}
