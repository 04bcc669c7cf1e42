//! Nobody can ask whether a person is here: beyond the caller's area, a number that is known is answered like one that is not.

use qianshou_kernel::{error::Reason, identity::Role};
use qianshou_proto::registry::v1::{Certificate, Worker};
use qianshou_tests::{World, refusal::refused, sample, stories};
use tonic::Status;

stories! {
    a_number_of_another_area_is_answered_like_an_unknown_one
    a_refusal_names_no_record_of_another_area
}

fn worker(n: u32, division: &str) -> Worker {
    Worker { division: Some(division.into()), ..sample::worker(n) }
}

/// All that a refusal says, on the wire.
fn said(status: Status) -> (tonic::Code, String, Vec<u8>) {
    (status.code(), status.message().to_owned(), status.details().to_vec())
}

async fn a_number_of_another_area_is_answered_like_an_unknown_one(world: World) {
    let ningxia = world.node("64").await;
    let editor = ningxia.caller(Role::Editor, "640104").await;
    let elsewhere = ningxia.admin.create(worker(1, "640122")).await.unwrap().noun;
    let own = editor.create(worker(2, "640104")).await.unwrap().noun;
    let certificate = |n: u32| Certificate {
        division: Some("640104".into()),
        ..sample::certificate(1, &format!("workers/{}", sample::citizen(n)))
    };
    for by in [&editor, &editor.only_asking()] {
        let known = said(by.create(certificate(1)).await.unwrap_err());
        let unknown = said(by.create(certificate(999)).await.unwrap_err());
        assert_eq!(known, unknown);
        assert!(!known.1.contains(elsewhere.name()) && !known.1.contains(&sample::citizen(1)), "{}", known.1);
        refused(by.create(certificate(1)).await, Reason::ReferenceNotFound, "worker");
    }
    let [known, unknown] = [1, 999].map(|n| editor.put(vec![certificate(n)]));
    assert_eq!(known.await.unwrap(), unknown.await.unwrap());
    // One's own people are found, and the whole node's administrator finds all.
    let saved = editor.create(certificate(2)).await.unwrap().noun;
    assert_eq!(saved.worker.as_deref(), own.name.as_deref());
    let move_to = |n: u32| Certificate { etag: None, worker: certificate(n).worker, ..saved.clone() };
    let [known, unknown] = [1, 999].map(|n| editor.update(move_to(n), &["worker"]));
    assert_eq!(said(known.await.unwrap_err()), said(unknown.await.unwrap_err()));
    let by_admin = Certificate { number: Some("another".into()), ..certificate(1) };
    assert_eq!(ningxia.admin.create(by_admin).await.unwrap().noun.worker, elsewhere.name);
    // Saying that somebody is elsewhere is refused alike, whether they are or not.
    let [known, unknown] = [1, 999].map(|n| editor.put(vec![worker(n, "640122")]));
    assert_eq!(known.await.unwrap(), unknown.await.unwrap());
}

async fn a_refusal_names_no_record_of_another_area(world: World) {
    let ningxia = world.node("64").await;
    let editor = ningxia.caller(Role::Editor, "640104").await;
    let elsewhere = ningxia.admin.create(worker(1, "640122")).await.unwrap().noun;
    let own = editor.create(worker(2, "640104")).await.unwrap().noun;
    for by in [&editor, &editor.only_asking()] {
        let status = by.create(worker(2, "640104")).await.unwrap_err();
        assert!(status.message().contains(own.name()), "one's own is named: {}", status.message());
        if let Err(status) = by.create(worker(1, "640104")).await {
            let details = String::from_utf8_lossy(status.details()).into_owned();
            assert!(!status.message().contains(elsewhere.name()) && !details.contains(elsewhere.name()), "{status:?}");
        }
    }
}
