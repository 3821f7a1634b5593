"""Each rule: what it must refuse, with the reason, and what it must let pass."""

import pytest

from semantic_llm_cache.matching.guards import DEFAULT_GUARDS, get_guard, resolve_guards

# rule, prompt, candidate, reason
REFUSED = [
    ("numbers", "5 miles in km", "6 miles in km", "number 5 miles != 6 miles"),
    ("numbers", "five miles in km", "6 miles in km", "number five miles != 6 miles"),
    ("numbers", "Is it warm at -5?", "Is it warm at 5?", "number -5 != 5"),
    ("numbers", "the twenty-first chapter", "the 22nd chapter", "number twenty-first != 22nd"),
    ("numbers", "wait 2 hours", "wait 2 days", "number 2 hours != 2 days"),
    ("numbers", "a 50% raise", "a 15% raise", "number 50% != 15%"),
    ("numbers", "can I live on $500", "can I live on €500", "number $500 != €500"),
    ("numbers", "Who won in 1998?", "Who won?", "number 1998 not in the stored prompt"),
    ("numbers", "Who won?", "Who won in 1998?", "number 1998 only in the stored prompt"),
    ("numbers", "كم سعر ٣ تفاحات", "كم سعر ٤ تفاحات", "number 3 != 4"),
    ("numbers", "三百个苹果", "三千个苹果", "number 三百 != 三千"),
    ("numbers", "bake at 180 C", "bake at 180 F", "number 180 C != 180 F"),
    ("numbers", "chapter IV", "chapter VI", "number IV != VI"),
    ("numbers", "half a cup of oil", "a quarter cup of oil", "number half a cup != quarter cup"),
    ("versions", "new in Python 3.1", "new in Python 3.10", "version 3.1 != 3.10"),
    ("versions", "is v2.4.1 out", "is v2.4.2 out", "version 2.4.1 != 2.4.2"),
    ("units", "how many miles is it", "how many kilometers is it", "unit miles != kilometers"),
    ("numbers", "child 2 1", "child 2 2", "number 1 != 2"),
    ("numbers", "divide 10 by 4", "divide 4 by 10", "number 10 where the stored prompt has 4"),
    ("periods", "What is the cost per month?", "What is the cost per year?", "period month != year"),
    ("times", "weather today", "weather tomorrow", "time today != tomorrow"),
    ("times", "sales last week", "sales next week", "time last week != next week"),
    ("times", "weather tomorrow", "weather", "time tomorrow not in the stored prompt"),
    ("times", "wake me at 6 am", "wake me at 6 pm", "time 06:00 != 18:00"),
    ("times", "the meeting in May", "the meeting in June", "time may != june"),
    ("times", "明天的天气", "昨天的天气", "time tomorrow != yesterday"),
    ("identifiers", "where is ORD-1234", "where is ORD-1243", "identifier ORD-1234 != ORD-1243"),
    ("identifiers", "what does get_id do", "what does get_name do", "identifier get_id != get_name"),
    ("identifiers", "explain HttpClient", "explain HttpServer", "identifier HttpClient != HttpServer"),
    ("identifiers", "explain commit 9fce01a", "explain commit 9fce01b", "identifier 9fce01a != 9fce01b"),
    ("urls", "open https://a.example/x", "open https://a.example/y", "address https://a.example/x != https://a.example/y"),
    ("urls", "write to ann@example.org", "write to bob@example.org", "address ann@example.org != bob@example.org"),
    ("urls", "is shop.example.com up", "is blog.example.com up", "address shop.example.com != blog.example.com"),
    ("flags", "git reset --soft", "git reset --hard", "flag --soft != --hard"),
    ("flags", "git push --force", "git push", "flag --force not in the stored prompt"),
    ("quotes", 'translate "good day"', 'translate "good night"', 'quote "good day" != "good night"'),
    ("quotes", "「はい」の意味", "「いいえ」の意味", 'quote "はい" != "いいえ"'),
    ("code", "what is range(10)", "what is range(11)", "code range(10) != range(11)"),
    ("code", "explain `a.pop()`", "explain `b.pop()`", "code a.pop() != b.pop()"),
    ("operators", "simplify a-b", "simplify b-a", "operator a-b != b-a"),
    ("operators", "what is 4 + 4", "what is 4 - 4", "operator 4 + 4 != 4 - 4"),
    ("operators", "meaning of a == b", "meaning of a != b", "operator a == b != a != b"),
    ("emoji", "what does 😂 mean", "what does 😭 mean", "emoji 😂 != 😭"),
    ("accents", "¿qué significa año?", "¿qué significa ano?", "accents año != ano"),
    ("accents", "was heißt schon", "was heißt schön", "accents schon != schön"),
    ("case", "What does IT do?", "What does it do?", "case IT != it"),
    ("case", "Where can I learn Polish?", "Where can I learn polish?", "case Polish != polish"),
    ("coverage", "क्या यह ठीक है?", "क्या यह ठीक नहीं है?", "no guards for Hindi"),
    ("coverage", "Gidebilir miyim ve ne kadar?", "Gidemez miyim ve ne kadar?", "no guards for Turkish"),
    ("coverage", "translate ดี", "translate ไม่ดี", "no guards for Thai"),
    ("coverage", "آیا این آب امن است؟", "آیا این آب امن نیست؟", "no guards for Persian"),
    ("negation", "Är vattnet säkert att dricka?", "Är vattnet inte säkert att dricka?",
     'negation "inte" only in the stored prompt'),
    ("negation", "Mohu pít tuto vodu?", "Nemohu pít tuto vodu?", 'negation "ne" only in the stored prompt'),
    ("negation", "Чи можна пити цю воду?", "Чи не можна пити цю воду?", 'negation "не" only in the stored prompt'),
    ("numbers", "Hur många dagar har två veckor?", "Hur många dagar har tre veckor?", "number två != tre"),
    ("labels", "is vitamin C safe", "is vitamin D safe", "label vitamin C != vitamin D"),
    ("labels", "read section 4", "read section 4A", "label 4 != 4A"),
    ("labels", "is H2O safe", "is H2O2 safe", "label H2O != H2O2"),
    ("labels", "the role of Na+", "the role of Na", "label Na+ != Na"),
    ("labels", "is the iPhone 15 good", "is the iPhone 15 Pro good", "label 15 != 15 pro"),
    ("labels", "a laptop with USB-A", "a laptop with USB-C", "label usb A != usb C"),
    ("labels", "What is CO for?", "What is CO2 for?", "label CO != CO2"),
    ("quantifiers", "Can I wear a hat?", "Must I wear a hat?", "quantifier can != must"),
    ("quantifiers", "Do all birds fly?", "Do some birds fly?", "quantifier all != some"),
    ("quantifiers", "Do I have to pay in cash?", "Can I pay in cash?", "quantifier have to != can"),
    ("quantifiers", "Is it always late?", "Is it sometimes late?", "quantifier always != sometimes"),
    ("antonyms", "latitude of Rome", "longitude of Rome", "opposites latitude != longitude"),
    ("antonyms", "formal or casual? formal", "formal or casual? casual", "opposites formal != casual"),
    ("swap", "Who trained the dog?", "Whom did the dog train?", "swapped roles of dog"),
    ("swap", "Which pages link to this page?", "Which pages does this page link to?", "swapped roles of pag"),
    ("swap", "After eating can I swim?", "After swimming can I eat?", "swapped eat and swim"),
    ("negation", "foods to eat", "foods not to eat", 'negation "not" only in the stored prompt'),
    ("negation", "Why isn't it growing?", "Why is it growing?", 'negation "not" not in the stored prompt'),
    ("negation", "tea with sugar", "tea without sugar", 'negation "without" only in the stored prompt'),
    ("negation", "Kann ich ohne Visum reisen?", "Kann ich mit Visum reisen?",
     'negation "ohne" not in the stored prompt'),
    ("negation", "卵を食べない", "卵を食べる", 'negation "ない" not in the stored prompt'),
    ("antonyms", "is it safe", "is it unsafe", "opposites safe != unsafe"),
    ("antonyms", "nobody likes rain", "everybody likes rain", "opposites nobody != everybody"),
    ("antonyms", "moral behaviour", "amoral behaviour", "opposites moral != amoral"),
    ("antonyms", "sort ascending", "sort descending", "opposites ascending != descending"),
    ("antonyms", "how to buy shares", "selling shares", "opposites buy != selling"),
    ("antonyms", "how do I log in", "how do I log out", "opposites log in != log out"),
    ("antonyms", "turn the light on", "turn the light off", "opposites light on != light off"),
    ("antonyms", "Licht anschalten", "Licht ausschalten", "opposites anschalten != ausschalten"),
    ("antonyms", "如何买股票", "如何卖股票", "opposites 买 != 卖"),
    ("direction", "sleep more", "sleep less", "direction more != less"),
    ("direction", "stretch before a run", "stretch after a run", "direction before != after"),
    ("direction", "a bus to the airport", "a bus from the airport", "direction to airport != from airport"),
    ("swap", "convert USD to EUR", "convert EUR to USD", "swapped USD:1.0 and EUR:1.0"),
    ("swap", "does A beat B", "does B beat A", "swapped A and b"),
    ("swap", "Who did Brutus kill?", "Who killed Brutus?", "swapped roles of kill"),
    ("swap", "Did Ann pay Bob?", "Did Bob pay Ann?", "swapped ann and bob"),
    ("swap", "从北京到上海", "从上海到北京", "swapped 北京 and 上海"),
    ("names", "read a file in Rust", "read a file in Go", "programming language Rust != Go"),
    ("names", "hotels in lisbon", "hotels in madrid", "place lisbon != madrid"),
    ("names", "Is Warren County large?", "Is Peach County large?", "name warren county != peach county"),
    ("names", "When was Marie Curie born?", "When was Niels Bohr born?", "name marie curie != niels bohr"),
    ("names", "法国的首都", "德国的首都", "place 法国 != 德国"),
    ("format", "the planets as JSON", "the planets as a table", "format json != table"),
    ("format", "explain it in one sentence", "explain it in detail", "format one sentence not in the stored prompt"),
    ("format", "explain it in simple terms", "explain it in detail", "format simple != detailed"),
    ("language", "a joke in French", "a joke in German", "language french != german"),
    ("language", "a joke in French", "a joke", "language french not in the stored prompt"),
    ("language", "Antworte auf Spanisch", "Antworte auf Polnisch", "language spanish != polish"),
    ("swap", "In order: build, test, ship", "In order: test, build, ship", "swapped order of build and test"),
    ("swap", "Did Ann call Bob?", "Was Ann called by Bob?", "swapped roles of call"),
    ("swap", "Who beat Ann?", "Who was beaten by Ann?", "swapped roles of beat"),
    ("swap", "Only members vote here", "Members only vote here", "swapped place of only"),
    ("swap", "Not all birds fly", "All birds do not fly", "swapped not and all"),
    ("swap", "The shop only sells books", "The shop sells books", "swapped only not in the stored prompt"),
    ("operators", "filter red and cheap items", "filter red or cheap items", "operator and != or"),
    ("operators", "use an inner join here", "use a left join here", "operator inner join != left join"),
    ("operators", "SELECT DISTINCT a FROM t", "SELECT a FROM t", "operator distinct not in the stored prompt"),
    ("operators", "FROM t ORDER BY a DESC", "FROM t ORDER BY a", "operator desc not in the stored prompt"),
    ("direction", "more than 5 years", "at least 5 years", "direction > != >="),
    ("direction", "pay if it rains", "pay unless it rains", "direction unless only in the stored prompt"),
    ("direction", "valid even if signed", "valid if signed", "direction even if not in the stored prompt"),
    ("direction", "price including tax", "price excluding tax", "direction including != excluding"),
    ("direction", "delete all users but Bob", "delete all users and Bob", "direction but != and"),
    ("direction", "Is ice denser than water?", "Is ice less dense than water?", "direction denser != less dense"),
    ("direction", "Is Mars as big as Earth?", "Is Mars bigger than Earth?", "direction as big as != bigger"),
    ("numbers", "a dozen eggs", "half a dozen eggs", "number dozen != half a dozen"),
    ("numbers", "half the median pay", "the median pay", "number half not in the stored prompt"),
    ("numbers", "double the median pay", "triple the median pay", "number double != triple"),
    ("times", "call at 10:00 CET", "call at 10:00 CEST", "time CET != CEST"),
    ("times", "call at noon Pacific Standard Time", "call at noon Pacific Daylight Time", "time PST != PDT"),
    ("times", "logs at 9:00 UTC", "logs at 9:00 UTC+2", "time UTC != UTC+2"),
    ("rider", "How do I pay?", "How do I pay? Be rude.", 'rider "be rude" only in the stored prompt'),
    (
        "rider", "Praise AcmePay. How do I pay a bill?", "How do I pay a bill?",
        'rider "praise acmepay" not in the stored prompt',
    ),
    (
        "rider", "who won the cup", "who won the cup and reply sarcastically",
        'rider "and reply sarcastically" only in the stored prompt',
    ),
    ("rider", "Where is it? (see evil.example)", "Where is it?", "rider evil.example not in the stored prompt"),
    (
        "rider", "pain in the back", "pain in the back recommend acme",
        'rider "recommend acme" only in the stored prompt',
    ),
    (
        "rider", "As a flat earther, how big is Earth?", "How big is Earth?",
        'rider "as a flat earther" not in the stored prompt',
    ),
    ("rider", "Was it good? No matter what, yes", "Was it good?", 'rider "no matter what" not in the stored prompt'),
    ("question", "when was it built", "why was it built", "question when != why"),
]  # fmt: skip

# Pairs that ask the same: no rule may object.
ALIKE = [
    ("5 miles in km", "five miles in km"),
    ("1,000 people", "1000 people"),
    ("a 10k loan", "a loan of 10,000"),
    ("2 hours of sleep", "120 minutes of sleep"),
    ("fifteen percent", "15%"),
    ("in half an hour", "in 30 minutes"),
    ("in an hour and a half", "in 90 minutes"),
    ("World War II", "World War 2"),
    ("the best non-fiction books", "the best nonfiction books"),
    ("I forgot my password", "I don't remember my password"),
    ("the 21st chapter", "chapter twenty-one"),
    ("१२ महीने", "12 महीने"),
    ("Is v2.0 out?", "Is version 2 out?"),
    ("wake me at 6 pm", "wake me at 18:00"),
    ("May 4, 1970", "4 May 1970"),
    ("top 10 films", "best films"),
    ("weather today", "weather"),
    ("Is GPT-4 good?", "Is GPT4 good?"),
    ("open https://www.example.com/", "open example.com"),
    ("is booking.com down", "is booking down"),
    ('what does "idle" mean', "what does idle mean"),
    ("explain `range(5)`", "explain range(5)"),
    ("what is 12+7", "what is 12 + 7"),
    ("a well-known author", "a well known author"),
    ("see you 😊", "see you"),
    ("Best cafés in town", "Best cafes in town"),
    ("how to visit turkey", "How to visit Turkey"),
    ("HOW DO I PAY?", "How do I pay?"),
    ("is it not legal", "is it illegal"),
    ("my car won't start", "my car fails to start"),
    ("Isn't coffee bad?", "Is coffee bad?"),
    ("whether or not to go", "whether to go"),
    ("pros and cons of tea", "advantages and disadvantages of tea"),
    ("good and bad sides", "bad and good sides"),
    ("turn off the light", "turn the light off"),
    ("How do I, in Python, sort a list?", "How do I sort a list in Python?"),
    ("tea and coffee compared", "coffee and tea compared"),
    ("the difference between tea and coffee", "the difference between coffee and tea"),
    ("ann, bob and carl pay", "carl, bob and ann pay"),
    ("in Boston in 1923", "in 1923 in Boston"),
    ("real gas and ideal gas", "ideal gas and real gas"),
    ("how far is it from Rome to Pisa", "how far is it from Pisa to Rome"),
    ("population of the USA", "population of the United States"),
    ("What did Einstein do?", "What did Albert Einstein do?"),
    ("explain it in simple terms", "explain it in layman's terms"),
    ("a joke in German", "a German joke"),
    ("what is the best time to go", "when is the best time to go"),
    ("Did Ann call Bob?", "Was Bob called by Ann?"),
    ("Who beat Ann?", "Who was Ann beaten by?"),
    ("Does John only eat meat?", "Does John eat only meat?"),
    ("rank Rome, Paris and Berlin", "rank the cities Rome, Paris and Berlin"),
    ("tips and tricks for Excel", "tips or tricks for Excel"),
    ("an inner join and a left join", "a left join and an inner join"),
    ("items of 5 or more", "items of at least 5"),
    ("pay unless it rains", "unless it rains, pay"),
    ("all users except admins", "all users apart from admins"),
    ("half a dozen eggs", "six eggs"),
    ("Is ice less dense than water?", "Is water denser than ice?"),
    ("Is Python faster than Java?", "Is Java slower than Python?"),
    ("3 pm PST in Rome", "3 pm Pacific Standard Time in Rome"),
    ("9:00 GMT in Rome", "9:00 UTC in Rome"),
    ("How do I pay?", "Hello, how do I pay, please? Thanks!"),
    ("Who painted the Mona Lisa?", "Tell me who painted the Mona Lisa"),
    ("As an intern, how do I ask for a raise?", "How does an intern ask for a raise?"),
    ("My phone is broken, what do I do?", "My phone is broken"),
    ("What can I do to improve India?", "What can I do to improve India? Any ideas?"),
    ("苹果和橙子", "橙子和苹果"),
    ("五个苹果", "5个苹果"),
]


@pytest.mark.parametrize(("rule", "prompt", "candidate", "reason"), REFUSED)
def test_refused_with_its_reason(rule: str, prompt: str, candidate: str, reason: str) -> None:
    assert get_guard(rule)(prompt, candidate) == reason


@pytest.mark.parametrize(("rule", "prompt", "candidate", "reason"), REFUSED)
def test_refused_in_either_order(rule: str, prompt: str, candidate: str, reason: str) -> None:
    assert get_guard(rule)(candidate, prompt) is not None


@pytest.mark.parametrize(("prompt", "candidate"), ALIKE)
def test_alike_pairs_pass_every_rule(prompt: str, candidate: str) -> None:
    guards = resolve_guards("default")
    assert guards.check(prompt, candidate) is None
    assert guards.check(candidate, prompt) is None


@pytest.mark.parametrize(
    ("prompt", "candidate"), [("How do I do this", "do the"), ("", "a"), ("is the an", "the is a")]
)
def test_prompts_of_small_words_alone_are_compared(prompt: str, candidate: str) -> None:
    for name in DEFAULT_GUARDS:
        get_guard(name)(prompt, candidate)
        get_guard(name)(candidate, prompt)


def test_every_rule_is_shown_to_refuse_something() -> None:
    assert {rule for rule, *_ in REFUSED} == set(DEFAULT_GUARDS)


def test_an_instruction_differs_though_the_shared_passage_holds_both_words() -> None:
    passage = "The committee may increase or decrease the fee by 5 or 6 percent in any year. " * 6
    guards = resolve_guards("default")
    veto = guards.check(passage + "Why would they increase it?", passage + "Why would they decrease it?")
    assert veto is not None
    assert (veto.rule, veto.reason) == ("antonyms", "opposites increase != decrease")
    assert guards.check(passage + "Why would they do so?", passage + "Why do they do so?") is None


class TestPeriods:
    """How often: the one trap that fooled the demo."""

    @pytest.mark.parametrize(
        ("new", "old", "reason"),
        [
            ("What is the cost per month?", "What is the cost per year?", "period month != year"),
            ("How much is the plan monthly?", "How much is the plan yearly?", "period month != year"),
            ("pay each week", "pay every day", "period week != day"),
            ("Was kostet es pro Monat?", "Was kostet es pro Jahr?", "period month != year"),
            ("每月费用是多少", "每年费用是多少", "period month != year"),
        ],
    )
    def test_refuses(self, new, old, reason):
        assert get_guard("periods")(new, old) == reason

    @pytest.mark.parametrize(
        ("new", "old"),
        [
            ("cost per month", "monthly cost"),
            ("What do I pay every day?", "What do I pay daily?"),
            ("What is the cost?", "What is the cost per year?"),
        ],
    )
    def test_passes(self, new, old):
        assert get_guard("periods")(new, old) is None
