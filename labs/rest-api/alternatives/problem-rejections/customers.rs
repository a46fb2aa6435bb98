//! Exercise 2: validation and problem details.

use crate::prelude::*;

/// The routes of customers.
///
/// Whatever goes wrong behind them is answered with problem details (RFC 9457): a body that is
/// nobody's fault names each wrong field, and a fault of ours names nothing.
pub fn routes() -> Router<Shop> {
    Router::new()
        .route("/customers", post(create))
        .route("/customers/{id}", get(read))
}

/// What the brief calls a customer.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Customer {
    name: String,
    email: String,
    birth_year: i64,
    address: Address,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Address {
    street: String,
    postcode: String,
    city: String,
}

/// All that a customer's client can be told.
#[derive(Debug)]
enum Problem {
    NotFound,
    NoJson,
    NotCalledJson,
    Invalid(Vec<Wrong>),
    NoNumber,
    EmailTaken,
    Ours,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, title) = match &self {
            Self::NoJson => (StatusCode::BAD_REQUEST, "the body is not JSON"),
            Self::NotCalledJson => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the content type is not application/json",
            ),
            Self::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "some fields are wrong"),
            Self::NoNumber => (StatusCode::BAD_REQUEST, "a customer has a number"),
            Self::NotFound => (StatusCode::NOT_FOUND, "there is no such customer"),
            Self::EmailTaken => (StatusCode::CONFLICT, "this email is registered already"),
            Self::Ours => (StatusCode::INTERNAL_SERVER_ERROR, "something failed here"),
        };
        let mut body = json!({ "title": title, "status": status.as_u16() });
        if let Self::Invalid(errors) = self {
            body["errors"] = json!(errors);
        }
        let media_type = (header::CONTENT_TYPE, "application/problem+json");
        (status, [media_type], body.to_string()).into_response()
    }
}

async fn create(
    State(shop): State<Shop>,
    body: Result<Json<Value>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(body) = body.map_err(|rejection| match rejection {
        JsonRejection::MissingJsonContentType(_) => Problem::NotCalledJson,
        _ => Problem::NoJson,
    })?;
    let customer = Customer::read(&body)?;
    let insert = "INSERT INTO customers (name, email, birth_year, street, postcode, city)
                  VALUES ($1, $2, $3, $4, $5, $6) RETURNING id";
    let id: i64 = sqlx::query_scalar(insert)
        .bind(&customer.name)
        .bind(&customer.email)
        .bind(customer.birth_year)
        .bind(&customer.address.street)
        .bind(&customer.address.postcode)
        .bind(&customer.address.city)
        .fetch_one(&shop.pool)
        .await?;
    let location = format!("/customers/{id}");
    let shown = ([(header::LOCATION, location)], Json(with_id(id, &customer)));
    Ok((StatusCode::CREATED, shown).into_response())
}

async fn read(
    State(shop): State<Shop>,
    id: Result<Path<i64>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(id) = id.map_err(|_| Problem::NoNumber)?;
    let select = "SELECT name, email, birth_year, street, postcode, city
                  FROM customers WHERE id = $1";
    let row = sqlx::query(select)
        .bind(id)
        .fetch_optional(&shop.pool)
        .await?
        .ok_or(Problem::NotFound)?;
    let customer = Customer {
        name: row.try_get("name")?,
        email: row.try_get("email")?,
        birth_year: row.try_get("birth_year")?,
        address: Address {
            street: row.try_get("street")?,
            postcode: row.try_get("postcode")?,
            city: row.try_get("city")?,
        },
    };
    Ok(Json(with_id(id, &customer)).into_response())
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        let database = error.as_database_error();
        if database.is_some_and(|error| error.is_unique_violation()) {
            return Self::EmailTaken;
        }
        // The details are for the log; whoever reads it may have gone.
        let _ =
            std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("customers: {error}\n"));
        Self::Ours
    }
}

/// One wrong field.
#[derive(Debug, Serialize)]
struct Wrong {
    pointer: String,
    detail: &'static str,
}

impl Customer {
    /// Reads all fields, so that all that are wrong are told at once.
    fn read(body: &Value) -> Result<Self, Problem> {
        let nothing = json!({});
        let body = if body.is_object() { body } else { &nothing };
        if !body["address"].is_object() {
            let mut rest = body.clone();
            rest["address"] = json!({ "street": "-", "postcode": "00000", "city": "-" });
            let mut wrong = match Self::read(&rest) {
                Err(Problem::Invalid(wrong)) => wrong,
                _ => Vec::new(),
            };
            let pointer = "#/address".to_owned();
            wrong.push(Wrong {
                pointer,
                detail: "an object",
            });
            return Err(Problem::Invalid(wrong));
        }
        let mut wrong = Vec::new();
        let mut text = |pointer: &str, fits: fn(&str) -> bool, detail| {
            let value = body.pointer(pointer).and_then(Value::as_str);
            let value = value.filter(|text| !text.contains(char::is_control) && fits(text));
            if value.is_none() {
                let pointer = format!("#{pointer}");
                wrong.push(Wrong { pointer, detail });
            }
            value.unwrap_or_default().to_owned()
        };
        let mut customer = Self {
            name: text("/name", |it| said(it, 80), "1 to 80 characters"),
            email: text("/email", is_email, "an email address"),
            birth_year: 0,
            address: Address {
                street: text("/address/street", |it| said(it, 120), "1 to 120 characters"),
                postcode: text("/address/postcode", is_postcode, "five digits"),
                city: text("/address/city", |it| said(it, 80), "1 to 80 characters"),
            },
        };
        match body["birth_year"].as_i64() {
            Some(year) if (1900..=2026).contains(&year) => customer.birth_year = year,
            _ => wrong.push(Wrong {
                pointer: "#/birth_year".to_owned(),
                detail: "a year from 1900 to 2026",
            }),
        }
        match wrong.is_empty() {
            true => Ok(customer),
            false => Err(Problem::Invalid(wrong)),
        }
    }
}

fn said(text: &str, most: usize) -> bool {
    !text.trim().is_empty() && text.chars().count() <= most
}

fn is_email(text: &str) -> bool {
    let halves: Vec<&str> = text.split('@').collect();
    let whole = halves.len() == 2 && halves.iter().all(|half| !half.is_empty());
    whole && !text.contains(char::is_whitespace) && text.chars().count() <= 254
}

fn is_postcode(text: &str) -> bool {
    text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn with_id(id: i64, customer: &Customer) -> Value {
    let mut shown = json!(customer);
    shown["id"] = id.into();
    shown
}
