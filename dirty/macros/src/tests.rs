//! Every mistake has a message that says what to do.

use syn::ItemImpl;

use crate::app_block::AppBlock;
use crate::app_options::AppOptions;

/// All messages for an app with these items and a good `init`.
fn complaints(items: &str) -> Vec<String> {
    complaints_of(&format!("impl App {{ fn init() -> Self {{ App }} {items} }}"))
}

fn complaints_of(block: &str) -> Vec<String> {
    let item: ItemImpl = syn::parse_str(block).unwrap();
    let error = AppBlock::parse(item).error;
    error.into_iter().flatten().map(|error| error.to_string()).collect()
}

#[track_caller]
fn assert_complaint(items: &str, expected: &str) {
    let found = complaints(items);
    assert!(found.len() == 1 && found[0].contains(expected), "{items}: {found:?}");
}

#[test]
fn a_good_block_has_no_complaints_and_keeps_no_attribute_of_ours() {
    let item: ItemImpl = syn::parse_str(
        "impl App {
            fn init(ctx: &InitContext) -> Result<Self> { Ok(App) }
            #[action(name = \"type\")]
            fn kind(&self, image: Bytes, #[default = 3] size: u32, #[args] rest: Vec<Value>, key: bool,
                    cancel: &CancelToken, #[kwargs] more: Dict) {}
            fn close(&mut self) {}
        }",
    )
    .unwrap();
    let block = AppBlock::parse(item);
    assert!(block.error.is_none() && block.close.is_some());
    assert_eq!((block.init_arity, block.actions.len(), &*block.actions[0].name), (Some(1), 1, "type"));
    let left = quote::ToTokens::to_token_stream(&block.item).to_string();
    assert!(!left.contains('#'), "no attribute is left: {left}");
}

#[test]
fn an_app_needs_init_in_an_inherent_block() {
    assert_eq!(complaints_of("impl App {}").len(), 1);
    assert!(complaints_of("impl App {}")[0].contains("fn init(ctx: &InitContext) -> Result<Self>"));
    assert!(complaints_of("impl DirtyApp for App {}")[0].contains("inherent"));
    assert!(complaints_of("impl App { fn init(&self) {} }")[0].contains("`init` makes the app"));
    assert!(complaints_of("impl App { async fn init() {} }")[0].contains("ctx.block_on"));
    assert_complaint("fn close(self) {}", "fn close(&mut self)");
}

#[test]
fn some_names_are_never_actions() {
    assert_complaint("#[action] fn close(&self) {}", "called by the worker");
    assert_complaint("#[action] fn _secret(&self) {}", "leading underscore");
    assert_complaint("#[action(name = \"init\")] fn start(&self) {}", "called by the worker");
    assert_complaint("#[action] fn a(&self) {} #[action(name = \"a\")] fn b(&self) {}", "two actions");
    assert_complaint("#[action(nmae = \"a\")] fn b(&self) {}", "allowed: name");
}

#[test]
fn an_action_takes_a_shared_self_and_concrete_types() {
    assert_complaint("#[action] fn a(&mut self) {}", "takes `&self`");
    assert_complaint("#[action] fn a() {}", "takes `&self`");
    assert_complaint("#[action] fn a<T>(&self, x: T) {}", "no type parameters");
    assert_complaint("#[action] fn a(&self, x: impl Into<String>) {}", "concrete type");
    assert_complaint("#[action] fn a(&self, (x, y): (u8, u8)) {}", "plain name");
    assert_complaint("#[action] fn a(&self, x: &'static str) {}", "'static");
}

#[test]
fn parameters_follow_pythons_order() {
    assert_complaint("#[action] fn a(&self, #[default = 1] x: u8, y: u8) {}", "argument without default");
    assert_complaint("#[action] fn a(&self, #[kwargs] more: Dict, y: u8) {}", "no argument follows");
    assert_complaint("#[action] fn a(&self, #[args] x: Vec<u8>, #[args] y: Vec<u8>) {}", "second `#[args]`");
    assert_complaint("#[action] fn a(&self, #[kwargs] x: Dict, #[args] y: Vec<u8>) {}", "before `#[kwargs]`");
    assert_complaint("#[action] fn a(&self, #[args] x: HashSet<u8>) {}", "`Vec<…>`");
    assert_complaint("#[action] fn a(&self, #[kwargs] x: Vec<u8>) {}", "`Dict`");
    assert_complaint("#[action] fn a(&self, #[args] #[default] x: Vec<u8>) {}", "is enough");
    assert_complaint("#[action] fn a(&self, #[default] x: &CancelToken) {}", "from the worker");
    assert!(complaints("#[action] fn a(&self, #[default] x: u8, #[args] r: Vec<u8>, y: u8) {}").is_empty());
}

#[test]
fn every_mistake_is_reported_at_once() {
    assert_eq!(complaints("#[action] fn _a(&self) {} #[action] fn b(&mut self) {} fn close() {}").len(), 3);
}

#[test]
fn options_are_checked() {
    let parse = |text: &str| syn::parse_str::<AppOptions>(text).map(|options| options.stashes.len());
    assert_eq!(parse("workers = 2, stashes = [\"a\", \"b\"], crate = gm::dirty").unwrap(), 2);
    assert_eq!(parse("").unwrap(), 0);
    let wrong = |text: &str| parse(text).unwrap_err().to_string();
    assert_eq!(wrong("wrokers = 2"), "unknown option `wrokers`; allowed: workers, stashes, crate");
    assert_eq!(wrong("workers = 0"), "an app needs at least one worker");
}
