# SPDX-License-Identifier: Apache-2.0
"""Password files for tests. All passwords are PASSWORD; crypt(3) is not in every Python, so the hashes are fixed."""
import base64

PASSWORD = "open sesame"
HASHES = {
    "bcrypt": "$2y$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW",
    "slow": "$2b$10$abcdefghijklmnopqrstuu4SuEsu2LsUrAYUpWQHLMMc4GV5pZTxK",
    "sha256": "$5$rounds=1000$saltsalt$nKsyTQBmKz4GdCft0Sv/FbzLiu0y3wFdEXOzudLQLJ5",
    "sha512": "$6$rounds=1000$saltsalt$/IiX/CoEcxCZ9SksEXnbjfCT1LGvD4z5OpJkaFYl/T37OAwuKZ8I8BixDhruhPLkw6lS7dw/6wQWgQnGo7lLg/",
    "yescrypt": "$y$j75$5A1f.39S/Og.1OwVMIewh.$nCXtw.7fBcs4LmwN4CnHoG91EuGj1Bqa537hlijHJGD",
    "gost": "$gy$j75$PAiY2Ck./hYB4VmWk5vKB/$rLZ.EuK7tEySnbNjy7VCTGieLFDmKABaDa5uS42iiy7",
}
OTHER = "$2y$05$GOWy9zMd1tV9H3V1aUKG4uWLLIYxV11RCzwTSH.ZjR70W/qzpxqby"  # of "x"


def basic(user, password=PASSWORD):
    """The header line of a login."""
    return f"Proxy-Authorization: Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}\r\n"


def htpasswd(**users):
    """Lines of a password file; `user="sha512"` takes that hash."""
    return "".join(f"{name}:{HASHES.get(kind, kind)}\n" for name, kind in users.items())
