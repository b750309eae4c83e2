"""The page behind a link to unsubscribe. It needs no script, no cookie, and nothing from elsewhere."""

from __future__ import annotations

_HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
    "cache-control": "private, no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex, nofollow",
}

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex, nofollow">
<title>{title}</title>
<style>
body {{ font: 1.1rem/1.5 sans-serif; max-width: 32rem; margin: 4rem auto; padding: 0 1rem }}
button {{ font: inherit; padding: .5rem 1rem }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{text}</p>
{form}</body>
</html>
"""

# The same as RFC 8058, section 3.1, has mail programs post. Without an action, a form posts to the page's own address.
_FORM = """<form method="post">
<input type="hidden" name="List-Unsubscribe" value="One-Click">
<button>Unsubscribe</button>
</form>
"""

_WHAT = {"email": "emails", "sms": "text messages"}

NOT_FOUND = ("There is no such page.", "")
LATER = ("Please try again", "This did not work just now. Please try it again in a minute.")


def question(channel: str) -> dict[str, object]:
    """The page with the button. To look at it changes nothing."""
    text = f"Press the button to get no more {_WHAT[channel]} from us. Until you do, nothing changes."
    return page(200, ("Unsubscribe?", text), _FORM)


def confirmation(channel: str) -> dict[str, object]:
    """The page that says it is done."""
    text = f"You get no more {_WHAT[channel]} from us. One that is on its way right now may still reach you."
    return page(200, ("You are unsubscribed", text))


def page(status: int, words: tuple[str, str], form: str = "") -> dict[str, object]:
    """An answer (API Gateway payload 2.0) with a title and a text, both HTML."""
    title, text = words
    return {"statusCode": status, "headers": _HEADERS, "body": _PAGE.format(title=title, text=text, form=form)}
