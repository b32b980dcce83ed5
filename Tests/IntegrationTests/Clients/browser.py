"""A browser without JavaScript: follows redirects, reads forms, presses buttons."""

from html.parser import HTMLParser
from urllib.parse import parse_qs, urljoin, urlsplit

import requests

from crosspoint import AUTH, REDIRECT, check, secret


class Form(HTMLParser):
    """The forms of a page, and whether it holds a script."""

    def __init__(self, page):
        super().__init__()
        self.forms = []
        self.scripts = 0
        self._button = self._select = None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        attributes = {name: value or "" for name, value in attributes}
        if tag == "script" or any(name.startswith("on") for name in attributes):
            self.scripts += 1
        if tag == "form":
            self.forms.append(
                {"action": attributes.get("action", ""), "method": attributes.get("method", "get").lower(),
                 "fields": {}, "types": {}, "buttons": []})
        if not self.forms:
            return
        if tag == "select":
            self._select = attributes.get("name")
        if tag == "option" and self._select:
            # The first one, unless another is chosen.
            form, value = self.forms[-1], attributes.get("value", "")
            if self._select not in form["fields"] or "selected" in attributes:
                form["fields"][self._select] = value
                form["types"][self._select] = "select"
            return
        form, name, kind = self.forms[-1], attributes.get("name"), attributes.get("type", "text").lower()
        if tag == "button" or (tag == "input" and kind == "submit"):
            self._button = {"name": name, "value": attributes.get("value", ""), "text": attributes.get("value", "")}
            form["buttons"].append(self._button)
        elif tag == "input" and name:
            if kind in ("checkbox", "radio") and "checked" not in attributes:
                return
            form["fields"][name] = attributes.get("value", "")
            form["types"][name] = kind

    def handle_endtag(self, tag):
        if tag == "button":
            self._button = None
        if tag == "select":
            self._select = None

    def handle_data(self, data):
        if self._button is not None:
            self._button["text"] += " " + data.strip()


class Browser:
    """One person's browser, with its cookies."""

    def __init__(self, email, password):
        self.session = requests.Session()
        self.email, self.password = email, password
        # How many pages of each kind it has seen.
        self.logins = self.consents = 0

    def authorize(self, url, allow=True):
        """Goes through the pages; returns where it is sent in the end, as the client gets it."""
        answer = self.session.get(url, allow_redirects=False, timeout=30)
        for _ in range(8):
            if answer.is_redirect:
                # 307 would repeat the password to the client (RFC 9700, section 4.12).
                check(answer.status_code in (302, 303), "redirect with", answer.status_code)
                url = urljoin(url, answer.headers["Location"])
                if url.startswith(REDIRECT):
                    code = parse_qs(urlsplit(url).query).get("code")
                    secret(*(code or [""]), *self.session.cookies.get_dict().values())
                    return url
                check(url.startswith(AUTH + "/"), "sent to a stranger:", url)
                answer = self.session.get(url, allow_redirects=False, timeout=30)
            else:
                url, answer = self._answer(url, answer, allow)
        raise AssertionError(f"no end of pages at {url}")

    def _answer(self, url, answer, allow):
        check(answer.status_code == 200, url, answer.status_code, answer.text)
        form = self.read(answer)
        fields, target = dict(form["fields"]), urljoin(url, form["action"])
        secret(*(value for name, value in fields.items() if form["types"][name] == "hidden" and "csrf" in name))
        if "password" in form["types"].values():
            self.logins += 1
            check(self.logins == 1, "asked to sign in again:", answer.text)
            for name, kind in form["types"].items():
                if kind == "password":
                    fields[name] = self.password
                elif kind in ("email", "text"):
                    fields[name] = self.email
            button = form["buttons"][0]
        else:
            self.consents += 1
            words = ("allow", "approve", "accept", "grant") if allow else ("deny", "cancel", "refuse", "reject")
            chosen = [b for b in form["buttons"] if any(word in b["text"].lower() for word in words)]
            check(len(chosen) == 1, "which button?", form["buttons"])
            button = chosen[0]
        if button["name"]:
            fields[button["name"]] = button["value"]
        # As a browser says it.
        headers = {"Origin": AUTH, "Referer": url}
        return target, self.session.post(target, data=fields, headers=headers, allow_redirects=False, timeout=30)

    @staticmethod
    def read(answer):
        """The page's form; also checks what a page that takes a password must be."""
        page, headers = Form(answer.text), answer.headers
        check(headers["Content-Type"].lower().replace(" ", "") == "text/html;charset=utf-8", headers["Content-Type"])
        check(page.scripts == 0, "the page has a script")
        check("no-store" in headers.get("Cache-Control", ""), "the page may be cached")
        policy = headers.get("Content-Security-Policy", "")
        # RFC 9700, section 4.16: no other page may frame it.
        check("frame-ancestors 'none'" in policy or headers.get("X-Frame-Options", "").upper() == "DENY", headers)
        check("default-src 'none'" in policy or "script-src" in policy, "scripts are not forbidden:", policy)
        check(headers.get("X-Content-Type-Options") == "nosniff", headers)
        # The page's address holds the state, which is nobody else's business (RFC 9700, section 4.2.4).
        check(headers.get("Referrer-Policy") in ("no-referrer", "same-origin", "strict-origin"), headers)
        for cookie in answer.raw.headers.getlist("Set-Cookie"):
            attributes = cookie.lower()
            check("httponly" in attributes and "samesite=" in attributes, "a loose cookie:", cookie.split("=")[0])
        forms = [form for form in page.forms if form["method"] == "post"]
        check(len(forms) == 1, "one form to send:", answer.text)
        return forms[0]
