//! The token by which a task's workflow run is known: the same on every attempt, and no other task's.

use delivery::sha256;

const PREFIX: &str = "tidegate-";
const DIGITS: usize = 16;

/// Of a task run's id.
pub fn token_of(id: &str) -> String {
    let digest = sha256(id.as_bytes());
    format!("{PREFIX}{}", &digest["sha256:".len()..][..DIGITS])
}

/// The first token that stands in a run's title.
pub fn token_in(title: &str) -> Option<String> {
    let mut words = title.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let is_token = |word: &&str| word.strip_prefix(PREFIX).is_some_and(|rest| rest.len() == DIGITS);
    words.find(is_token).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_in_a_title() {
        let token = token_of("acme/shop/runs/6113728f27ae/smoke");
        assert_eq!(token_in(&format!("smoke test ({token})")), Some(token.clone()));
        assert_eq!(token_in(&token), Some(token));
        assert_eq!(token_in("deploy tidegate-1.2, tidegate-0123"), None);
        assert_ne!(token_of("acme/shop/runs/6113728f27ae/smoke"), token_of("acme/shop/runs/6113728f27ae/smoke2"));
    }
}
