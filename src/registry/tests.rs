//! Pulls from the small registry in this process, over a real connection.

use super::testing::Served;
use super::*;

const COMPONENT: &[u8] = b"\0asm component";

async fn pull(served: &Served, reference: &OciReference) -> Result<Bytes, PullError> {
    let registry = Registry { insecure: true, ..Registry::default() };
    let known = connect(&registry, &|_| None).unwrap();
    Registries(BTreeMap::from([(served.host.clone(), known)])).pull(reference).await
}

#[track_caller]
fn check(pulled: Result<Bytes, PullError>, reason: &str, passing: bool) {
    let error = pulled.unwrap_err();
    assert!(error.to_string().contains(reason), "{error}");
    assert_eq!(error.is_passing(), passing, "{error}");
}

#[tokio::test]
async fn a_component_is_pulled_by_digest_and_is_what_was_pushed() {
    let served = Served::new().await;
    let reference = served.push(COMPONENT).await;
    assert_eq!(pull(&served, &reference).await.unwrap(), COMPONENT);
}

#[tokio::test]
async fn what_was_changed_in_the_registry_is_refused() {
    let served = Served::new().await;
    let reference = served.push(COMPONENT).await;
    served.corrupt(Digest::of(COMPONENT));
    check(pull(&served, &reference).await, "the component of", false);
}

#[tokio::test]
async fn what_is_not_there_or_no_component_says_so() {
    let served = Served::new().await;
    let layer = served.push_blob(COMPONENT).await;
    let reference = served.push_manifest(&[layer.clone(), layer]).await;
    check(pull(&served, &reference).await, "it needs one layer of media type", false);
    let gone = OciReference { digest: Digest::of(b"nothing"), ..reference.clone() };
    check(pull(&served, &gone).await, "push it again", false);
    let elsewhere = OciReference { host: "registry.example.com".to_owned(), ..reference };
    check(pull(&served, &elsewhere).await, "is no registry of the project", false);
}

#[tokio::test]
async fn a_registry_that_is_down_may_be_asked_again() {
    let mut served = Served::new().await;
    let reference = served.push(COMPONENT).await;
    served.stop().await;
    check(pull(&served, &reference).await, "cannot be reached", true);
}
