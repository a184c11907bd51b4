//! Text that is markup, and the only way in for text that is not.

use std::fmt::Display;

use crate::domain::shown::Shown;

/// A piece of HTML. What is foreign comes in by [`text`](Self::text) alone; markup is `'static`, so that no key and no
/// ref can be taken for it.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Markup as it stands in this program.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Foreign text, in an element or between the double quotes of an attribute. Invisible characters are
    /// shown by their number.
    pub(super) fn text(&mut self, foreign: impl Display) -> &mut Self {
        for c in Shown::value(&foreign.to_string().replace(['\n', '\t'], " ")).chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c => self.0.push(c),
            }
        }
        self
    }

    /// Foreign text whose letters may run from right to left: they do not take what stands around them along.
    pub(super) fn name(&mut self, foreign: impl Display) -> &mut Self {
        self.raw("<bdi>").text(foreign).raw("</bdi>")
    }

    /// A coordinate or a share, short.
    pub(super) fn number(&mut self, number: f64) -> &mut Self {
        let text = format!("{number:.2}");
        self.0.push_str(text.trim_end_matches('0').trim_end_matches('.'));
        self
    }

    /// Whatever a function adds.
    pub(super) fn with(&mut self, add: impl FnOnce(&mut Self)) -> &mut Self {
        add(self);
        self
    }

    /// The text.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(foreign: &str) -> String {
        let mut html = Html::default();
        html.text(foreign);
        html.finish()
    }

    #[test]
    fn nothing_foreign_is_markup_and_nothing_hides() {
        assert_eq!(text("<script>\"&'"), "&lt;script&gt;&quot;&amp;&#39;");
        assert_eq!(text("a\u{202e}b\u{7}c\u{2066}"), r"a\u{202e}b\u{7}c\u{2066}");
        assert_eq!(text("größe שלום"), "größe שלום");
    }

    #[test]
    fn numbers_are_short() {
        let mut html = Html::default();
        html.number(12.0).raw(" ").number(0.333_3).raw(" ").number(100.0);
        assert_eq!(html.finish(), "12 0.33 100");
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_place(foreign in any::<String>()) {
            let escaped = text(&foreign);
            let leaves = escaped.contains(['<', '>', '"', '\'', '\n', '\u{202e}']);
            prop_assert!(!leaves, "{}", escaped);
        }
    }
}
