//! Which pods are traced.

use std::collections::BTreeMap;

use anyhow::Context as _;
use globset::{Glob, GlobMatcher, GlobSet};

use super::reader;
use crate::serve::config;

/// The rules of a configuration.
pub struct Rules {
    namespaces: GlobSet,
    labels: Vec<(String, GlobMatcher)>,
}

impl Rules {
    /// # Errors
    /// When a pattern is none.
    pub fn new(config: &config::Kubernetes) -> anyhow::Result<Rules> {
        let label = |text: &String| {
            let (key, pattern) =
                text.split_once('=').with_context(|| format!("`{text}` is no KEY=PATTERN"))?;
            let glob = Glob::new(pattern).with_context(|| format!("the pattern `{pattern}`"))?;
            anyhow::Ok((key.to_owned(), glob.compile_matcher()))
        };
        Ok(Rules {
            namespaces: reader::globs(&config.namespaces).context("kubernetes.namespaces")?,
            labels: config.labels.iter().map(label).collect::<Result<_, _>>().context("kubernetes.labels")?,
        })
    }

    /// Whether a pod is wanted; without labels they are not asked for.
    pub fn want(&self, namespace: &str, labels: Option<&BTreeMap<String, String>>, opts_out: bool) -> bool {
        let has = |(key, pattern): &(String, GlobMatcher)| {
            labels.is_none_or(|labels| labels.get(key).is_some_and(|value| pattern.is_match(value)))
        };
        !opts_out && self.namespaces.is_match(namespace) && self.labels.iter().all(has)
    }

    /// The same of a pod of which only this is known; `None` where that does not tell.
    pub fn want_unknown(&self, namespace: &str) -> Option<bool> {
        let is_wanted = self.want(namespace, None, false);
        (!is_wanted || self.labels.is_empty()).then_some(is_wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::config::Config;

    fn rules(text: &str) -> Rules {
        Rules::new(&Config::parse(text).expect(text).kubernetes).expect(text)
    }

    #[test]
    fn namespaces_and_labels_must_match_and_who_opts_out_is_left_alone() {
        let labels = BTreeMap::from([("app".to_owned(), "chat".to_owned())]);
        for (text, is_wanted, before) in [
            ("", true, Some(true)),
            ("kubernetes.namespaces = ['llm*', 'prod']", true, Some(true)),
            ("kubernetes.namespaces = ['prod']", false, Some(false)),
            ("kubernetes.labels = ['app=ch*']", true, None),
            ("kubernetes.labels = ['app=ch*', 'team=*']", false, None),
            ("kubernetes.labels = ['app=ch*']\nkubernetes.namespaces = ['prod']", false, Some(false)),
        ] {
            assert_eq!(rules(text).want("llm-1", Some(&labels), false), is_wanted, "{text}");
            assert!(!rules(text).want("llm-1", Some(&labels), true), "{text}");
            assert_eq!(rules(text).want_unknown("llm-1"), before, "{text}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_named() {
        for (text, part) in [
            ("kubernetes.labels = ['app']", "kubernetes.labels: `app` is no KEY=PATTERN"),
            ("kubernetes.namespaces = ['[a']", "kubernetes.namespaces: the pattern `[a`"),
        ] {
            let config = Config::parse(text).expect(text).kubernetes;
            let refusal = format!("{:#}", Rules::new(&config).err().expect("it is none"));
            assert!(refusal.starts_with(part), "{refusal}");
        }
    }
}
