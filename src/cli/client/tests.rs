use axum::Router;
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::*;

fn args(url: &str) -> ServerArgs {
    ServerArgs { url: Some(url.to_owned()), token_file: None }
}

fn client(args: &ServerArgs, env: &[(&str, &str)]) -> Result<Client, CliError> {
    // An `Err` means that another test has installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let env = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    Client::http(args, &env, NEXT_OF_READING)
}

#[track_caller]
fn base(args: &ServerArgs, env: &[(&str, &str)], expected: &str) {
    assert_eq!(client(args, env).unwrap().base.as_str(), expected);
}

#[test]
fn the_option_goes_before_the_variable_and_that_before_the_default() {
    let variable = [("TIDEGATE_URL", "http://10.0.0.7:7117")];
    base(&args("http://10.0.0.8:1/"), &variable, "http://10.0.0.8:1/");
    base(&ServerArgs::default(), &variable, "http://10.0.0.7:7117/");
    base(&ServerArgs::default(), &[("TIDEGATE_URL", "")], "http://127.0.0.1:7117/");
}

#[test]
fn what_is_no_address_of_an_api_is_a_usage_error() {
    for url in ["127.0.0.1:7117", "ftp://a/", "http://user:secret@a/", ""] {
        let error = client(&args(url), &[]).err().unwrap();
        assert!(error.is_usage(), "{url}: {error}");
    }
}

#[test]
fn ids_are_one_part_of_the_path() {
    let client = client(&ServerArgs::default(), &[]).unwrap();
    let address = |id| client.address(&["events", id, "trace"], &[]).to_string();
    assert_eq!(address("#12"), "http://127.0.0.1:7117/events/%2312/trace");
    assert_eq!(address("a/../b?c"), "http://127.0.0.1:7117/events/a%2F..%2Fb%3Fc/trace");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_with_the_next_step() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = client(&args(&format!("http://{closed}")), &[]).unwrap();
    let error = client.get::<Value>(&["events"], &[]).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot reach http://{closed}; {NEXT_OF_READING}"));
}

fn router() -> Router {
    let refusal = || async {
        let error = json!({"error": {"code": "ambiguous", "message": "a means several events", "candidates": [
            {"id": "a1", "type": "t.one", "position": 1, "subject": "x"}, {"id": "a2", "type": "t.two"},
        ]}});
        (StatusCode::CONFLICT, error.to_string())
    };
    let echo = |headers: http::HeaderMap, body: String| async move {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        json!({"authorization": header("authorization"), "type": header("content-type"), "body": body}).to_string()
    };
    Router::new()
        .route("/echo", post(echo))
        .route("/ambiguous", get(refusal))
        .route("/page", get(|| async { "<html>" }))
        .route("/moved", get(|| async { axum::response::Redirect::temporary("/page") }))
}

/// The same client over both transports.
async fn both() -> [Client; 2] {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router()).await });
    [client(&args(&url), &[("TIDEGATE_TOKEN", "token-1")]).unwrap(), Client::in_process(router())]
}

#[tokio::test]
async fn both_transports_carry_bodies_and_the_token_goes_to_the_server_only() {
    let [http, in_process] = both().await;
    for (client, token) in [(http, Some("Bearer token-1")), (in_process, None)] {
        let echo: Value = client.post(&["echo"], &json!({"a": 1})).await.unwrap();
        assert_eq!(echo, json!({"authorization": token, "type": "application/json", "body": "{\"a\":1}"}));
    }
}

#[tokio::test]
async fn an_ambiguous_id_lists_the_candidates() {
    for client in both().await {
        let error = client.get::<Value>(&["ambiguous"], &[]).await.unwrap_err();
        let candidates = "a means several events\n      #1  a1  t.one  x\n          a2  t.two";
        assert_eq!(error.to_string(), candidates);
    }
}

#[tokio::test]
async fn another_server_is_recognised() {
    for client in both().await {
        for path in ["page", "moved", "absent"] {
            let error = client.get::<Value>(&[path], &[]).await.unwrap_err();
            assert!(matches!(error, CliError::Stranger { .. }), "{path}: {error}");
        }
    }
}
