//! What was asked for: a commit, a digest or a release, and the others that go with it.

use super::word::Word;

/// What is judged: the newest artifact and release of what was asked for.
#[derive(Debug, Default)]
pub struct About {
    pub commit: Option<String>,
    pub digest: Option<String>,
    pub release: Option<String>,
}

impl About {
    pub fn of(words: &[Word], of: &str) -> Self {
        // Whoever may not say a word cannot tie one thing to another by it.
        let newest =
            |pick: &dyn Fn(&Word) -> Option<String>| words.iter().rev().filter(|word| word.counts).find_map(pick);
        let is_asked = |name: &Option<String>| name.as_deref() == Some(of);
        let asked_digest = words.iter().any(|word| is_asked(&word.content.digest));
        let asked_commit = words.iter().any(|word| is_asked(&word.content.commit));
        let asked_release = words.iter().any(|word| is_asked(&word.content.release)) && !is_provisional(words, of);
        let own = |asked: bool| asked.then(|| of.to_owned());
        let of_release = |pick: fn(&Word) -> &Option<String>| {
            newest(&|word| pick(word).clone().filter(|_| is_asked(&word.content.release)))
        };
        let digest = own(asked_digest)
            .or_else(|| of_release(|word| &word.content.digest))
            .or_else(|| newest(&|word| word.content.digest.clone()));
        let of_digest = |word: &Word| digest.is_none() || word.content.digest == digest;
        let release =
            own(asked_release).or_else(|| newest(&|word| word.content.release.clone().filter(|_| of_digest(word))));
        let commit = own(asked_commit)
            .or_else(|| of_release(|word| &word.content.commit))
            .or_else(|| newest(&|word| word.content.commit.clone().filter(|_| of_digest(word))));
        About { commit, digest, release }
    }

    /// Whether a word is about this, as far as it says.
    pub fn concerns(&self, word: &Word) -> bool {
        let content = &word.content;
        let same = |own: &Option<String>, said: &Option<String>| match (own, said) {
            (Some(own), Some(said)) => own == said,
            (None, _) | (_, None) => true,
        };
        same(&self.digest, &content.digest) && same(&self.release, &content.release)
    }

    /// Whether a word is of the commit that this was made of, as far as both are known.
    pub fn is_of_commit(&self, word: &Word) -> bool {
        self.commit.as_ref().zip(word.content.commit.as_ref()).is_none_or(|(own, said)| own == said)
    }
}

/// Whether a release is what a gate made of an artifact before it knew the commit: the same artifact has another since.
fn is_provisional(words: &[Word], release: &str) -> bool {
    let mut own = words.iter().filter(|word| word.counts && word.content.release.as_deref() == Some(release));
    let Some(digest) = own.find_map(|word| word.content.digest.clone().filter(|_| word.content.commit.is_none()))
    else {
        return false;
    };
    words.iter().any(|word| {
        let content = &word.content;
        word.counts && content.digest.as_ref() == Some(&digest) && content.release.is_some() && content.commit.is_some()
    })
}
