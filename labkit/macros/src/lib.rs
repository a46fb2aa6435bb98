//! `#[labkit::test]`: a check as a function.

use proc_macro::TokenStream;
use quote::quote;
use syn::{Expr, ExprLit, FnArg, ItemFn, Lit, Meta, parse_macro_input};

/// Makes a check of an async function with one argument, the lab's fixture.
///
/// The function becomes a libtest test of the same name. Its doc comment is the `why` of
/// a finding. The body is run by `labkit::check::run`, which opens the fixture and leaves
/// the record.
#[proc_macro_attribute]
pub fn test(_attribute: TokenStream, item: TokenStream) -> TokenStream {
    let function = parse_macro_input!(item as ItemFn);
    expand(&function)
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}

fn expand(function: &ItemFn) -> syn::Result<proc_macro2::TokenStream> {
    let name = &function.sig.ident;
    let shape = "a check is `async fn name(fixture: Fixture)`";
    if function.sig.asyncness.is_none() || function.sig.inputs.len() != 1 {
        return Err(syn::Error::new_spanned(&function.sig, shape));
    }
    let Some(FnArg::Typed(argument)) = function.sig.inputs.first() else {
        return Err(syn::Error::new_spanned(&function.sig, shape));
    };
    let why = doc_comment(function);
    if why.is_empty() {
        return Err(syn::Error::new_spanned(
            &function.sig,
            "a check needs a doc comment: the `why` of its finding",
        ));
    }
    let (attributes, pattern, kind, body) = (
        &function.attrs,
        &argument.pat,
        &argument.ty,
        &function.block,
    );
    Ok(quote! {
        #(#attributes)*
        #[test]
        fn #name() {
            ::labkit::check::run::<#kind, _, _>(
                env!("CARGO_PKG_NAME"),
                concat!(module_path!(), "::", stringify!(#name)),
                #why,
                |fixture: #kind| async move {
                    // Taken whole: the block would capture only the fields that the body
                    // names, and drop the rest of the fixture before it runs.
                    let #pattern: #kind = fixture;
                    #body
                },
            );
        }
    })
}

/// The doc comment as one line.
fn doc_comment(function: &ItemFn) -> String {
    let lines = function.attrs.iter().filter_map(|attribute| {
        let Meta::NameValue(pair) = &attribute.meta else {
            return None;
        };
        match &pair.value {
            Expr::Lit(ExprLit {
                lit: Lit::Str(text),
                ..
            }) if pair.path.is_ident("doc") => Some(text.value().trim().to_owned()),
            _ => None,
        }
    });
    let lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
    lines.join(" ")
}
