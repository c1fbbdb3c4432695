"""The user study: two faces say the same sentence, and people choose one (paper, section 4.5).

`design` says what is compared, `pairs` draws who stands where, `videos` makes what is shown, `server` shows it and
`answers` keeps what was chosen; `outcome`, `shares` and `tables` say what came out.
"""
