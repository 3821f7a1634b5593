"""Words and phrases that tell the built-in categories of prompts.

All are lower case. The phrases are regular expressions for the words of a prompt joined by single spaces.
"""

from __future__ import annotations

__all__ = [
    "CHAT", "CODE_TEXT", "CODE_WORDS", "COMPANIONS", "GREETINGS", "NOT_TIME_BOUND", "NOW", "PHRASES", "RELEASES",
]  # fmt: skip

NOW = frozenset(
    """
    today today's tonight tonight's yesterday yesterday's tomorrow tomorrow's currently latest newest recently
    heute heutige heutigen gestern aktuell aktuelle aktuellen aktueller aktuelles neueste neuesten neuester derzeit
    momentan jetzt
    aujourd'hui demain actuel actuelle actuels actuelles actuellement maintenant
    hoy mañana ayer anoche ahora actualmente actuales
    hoje amanhã ontem atual atuais atualmente
    oggi domani ieri stasera stamattina adesso attuale attuali attualmente
    vandaag gisteren huidige momenteel vanavond vandaag's
    dzisiaj dziś jutro wczoraj teraz aktualny aktualna aktualne aktualnie obecnie obecny najnowsze najnowszy najnowsza
    """.split()  # noqa: SIM905
)
"""Words for the present, or for a time that is counted from it."""

COMPANIONS: dict[str, frozenset[str]] = {
    "hier": frozenset("le la les qui est quel quelle du des au soir a".split()),  # noqa: SIM905 - German: here
    "actual": frozenset("el la los las es cuál cual de qué quién".split()),  # noqa: SIM905
    "agora": frozenset("o a os as é do da que qual como está em quem".split()),  # noqa: SIM905
    "nu": frozenset("het de is wat wie hoe er".split()),  # noqa: SIM905 - French: naked
    "morgen": frozenset("wie wird wetter regnet es in im het weer wat ist sind am kommt hat wordt gaat".split()),  # noqa: SIM905
}
"""Words for the present that mean something else in other languages, with words beside which they mean this."""

_ASSETS = "bitcoin|ethereum|btc|eth|stock|share|gold|silver|oil|gas|petrol|dollar|euro"
_WHERE = "in|for|at|of|near|on|around|between"
_CURRENCIES = (
    "usd eur gbp jpy cad mxn aud chf cny inr dollar dollars euro euros pound pounds peso pesos yen yuan franc francs "
    "rupee rupees ruble rubles krone kroner krona zloty lira"
)
_CURRENCY = "|".join(_CURRENCIES.split())

PHRASES: dict[str, tuple[str, ...]] = {
    # the present, said with more than one word
    "now": (r"\bright now\b", r"\bas of now\b", r"^(?:who|what|where|when|is|are|does|has)\b.* now$"),
    "moment days night": (r"\bat the moment\b", r"\bthese days\b", r"\blast night\b"),
    "far": (r"\bso far\b",),
    "week weekend month year season morning afternoon evening minute quarter": (
        r"\bthis (?:week|weekend|month|year|season|morning|afternoon|evening|minute|quarter)\b",
    ),
    "current": (
        r"\b(?:the|a|s|your|our|my) current (?!account|flow|density|divider|source|transformer|limit)\w+",
        r"^current \w+",
    ),
    # weather
    "weather temperature forecast humidity pollen": (
        r"\b(?:the|that|local|weekend) (?:weather|forecast)\b(?! (?:vane|balloon|channel|station|and))",
        r"\bweather (?:forecast|report|conditions|like|please)\b(?! (?:is|are) (?:a|an|made)\b)",
        r"\b(?:tell me about|what about|info on|know about) (?:\w+ )?weather\b|\bkind of weather\b",
        rf"\b(?:weather|temperature|forecast|humidity|pollen count)(?: forecast)? (?:{_WHERE}) (?:the )?\w+$",
        r"^(?:the |local )?(?:weather|forecast|weather forecast)$",
        r"\b(?:what|how)(?:'s| is| are| will) (?:the |be the )?(?:weather|temperature|forecast|pollen count)"
        r"(?: outside| like| going| today|$| (?:in|for|at|near|on|around|here))",
    ),
    "rain raining snow snowing sunny windy cold hot warm umbrella": (
        r"\b(?:will|is|does) it (?:going to |gonna )?(?:be )?"
        r"(?:rain|raining|snow|snowing|sunny|windy|cold|hot|warm)\b",
        r"\bhow (?:hot|cold|warm) is it\b(?!.* in (?:winter|summer|the winter|the summer)$)",
        r"\bchance of (?:rain|snow)\b",
        r"\bneed an umbrella\b",
    ),
    # prices
    "price prices value rate rates cost": (
        rf"\b(?:price|prices|value|exchange rate|rate|cost)s? (?:of|for) (?:\w+ ){{0,3}}(?:{_ASSETS}|shares|stocks)\b",
        rf"\b(?:{_ASSETS}) prices?$",
        r"\bstock price\b",
        r"\bexchange rate\b(?! (?:policy|risk|mechanism|regime))",
        rf"\bhow much (?:is|are|does|do) (?:\w+ ){{0,4}}cost\b.*(?:{_ASSETS})",
    ),
    "trading worth bitcoin ethereum btc eth stock gold silver oil gas petrol": (
        r"\btrading at\b",
        rf"\b(?:how much|what)(?:'s| is| are) (?:\w+ ){{0,4}}(?:{_ASSETS}) worth\b",
        rf"\bhow much (?:is|are) (?:one |a |an |1 )?(?:\w+ )?(?:{_ASSETS})$",
    ),
    _CURRENCIES: (
        rf"\b(?:{_CURRENCY})\b.*\b(?:to|in|into|for|and|equal|is|get|between|worth|buy)\b.*\b(?:{_CURRENCY})\b",
    ),
    # news and sport
    "news update updates headlines trending": (
        r"\bany (?:news|updates?)\b",
        r"\bupdates? on\b",
        r"\bnews (?:about|on|from|in)\b",
        r"\bheadlines\b",
        r"\btrending\b",
        r"\bbreaking news\b",
    ),
    "won winning leading lost win lose beat": (
        r"\bwho(?:'s| is)? (?:won|winning|leading|lost)(?: the)?(?: \w+)?"
        r"(?: game| match| race| election| fight| series| league| cup|$)",
        r"\bdid (?:the )?\w+(?: \w+)? (?:win|lose|beat)\b",
        r"\bwho is leading\b",
    ),
    "score scores standings table": (
        r"\bscores? of the \w+(?: \w+)? (?:game|match)\b",
        r"\bfinal score\b",
        r"\bstandings\b",
        r"\bleague table\b",
    ),
    "president minister ceo king queen chancellor mayor pope": (
        r"^who(?:'s| is) (?:the )?(?:president|prime minister|ceo|king|queen|chancellor|mayor|pope) of\b",
    ),
    # clocks, calendars, timetables, opening hours
    "time day date year month hour days": (
        r"\bwhat(?:'s| is)? (?:the )?time(?: is it| in| right|$| zone is it)",
        r"\b(?:what|which) (?:day|date|year|month|hour)(?: of the (?:week|month|year))? is it\b",
        r"\bwhat(?:'s| is) the (?:date|day)(?: today|$)|\bwhat time it is\b|\bthe time(?: please|$| is what)",
        r"\b(?:tell|give|know)(?: me)? (?:the|what) date(?: will be)?\b|\bwhat (?:will|would) the date be\b",
        r"\bdate (?:it )?will (?:it )?be\b|\bdays from (?:now|today)\b",
        r"\bhow much time (?:until|till|left)\b",
    ),
    "next": (
        r"\bnext "
        r"(?:train|bus|flight|tram|ferry|game|match|meeting|appointment|episode|launch|holiday|payday)\b",
        r"\b(?:next|another|coming) (?:\w+ ){0,3}(?:holiday|day off|time off|break)\b",
    ),
    "delayed cancelled late flight plane train bus": (
        r"\b(?:my|this|the|status of) (?:\w+ ){0,3}(?:flight|plane)\b.*"
        r"\b(?:land|landing|arrive|arriving|board|boarding|leave|leaving|depart|take off|status|reach|here)\b",
        r"\bstatus of (?:my |the )?(?:\w+ ){0,2}(?:flight|plane)\b|\bboarding time\b",
        r"\bwhen(?:'s| is| does| will| should) (?:my|this|the) (?:\w+ ){0,2}(?:flight|plane)\b",
        r"\b(?:flight|train|bus) (?:\w+ ){0,2}(?:delayed|on time|cancelled|late)\b",
    ),
    "open closed down online offline": (r"^(?:is|are) (?:the )?(?:\w+ ){1,4}(?:open|closed|down|online|offline)$",),
    "until till left": (r"\bhow (?:many days|long|much time) (?:until|till|is left until|left)\b",),
    "traffic": (
        r"\b(?:is|be|will|hit|in)(?: there)?(?: a lot of| alot of| much| any| heavy| the)? traffic\b",
        r"\b(?:how|what)(?:'s| is| does| will| about)? (?:the )?traffic\b",
        r"\btraffic (?:heavy|bad|situation|conditions|like|report|patterns|will be|is looking)\b",
        r"\bthe traffic (?:in|on|near|from|to|at)\b|\btraffic (?:on|near) (?:the )?\w+$",
    ),
    # the asker's own affairs
    "balance calendar schedule unread inbox meetings appointments": (
        r"\bmy (?:\w+ ){0,2}(?:balance|calendar|schedule|unread|inbox|meetings|appointments)\b",
        r"\bhow many unread (?:emails|messages)\b",
        r"\bbalance (?:of|on|in|for) (?:my|all)\b",
    ),
    "account accounts savings checking": (
        r"\bhow (?:much|many)\b.*\b(?:in|of|on) my (?:\w+ ){0,3}(?:accounts?|savings|checking)\b",
        r"\bdo i have\b.*\bmy (?:\w+ ){0,3}(?:accounts?|savings|checking)\b",
    ),
    "order package parcel delivery purchase refund paycheck": (
        r"\b(?:where|status|track|tracking|when|has|is|was|find)\b.*\b(?:my (?:\w+ ){0,2}|the |an )"
        r"(?:order|package|parcel)\b(?!.*\b(?:policy|of)\b)",
        r"\bmy (?:\w+ )?(?:order|package|parcel|purchase)(?:'s)? (?:here|arrive|arrived|shipped|progress|status|now)\b",
        r"\b(?:where is|where's|track|has|did|when will) my (?:\w+ )?"
        r"(?:order|package|parcel|delivery|refund|paycheck)\b",
    ),
    "near": (r"\bnear me\b",),
    # German, Dutch
    "wetter weer regnet": (
        r"\bwie (?:ist|wird) (?:das|es) wetter\b",
        r"\bwetter in\b",
        r"\bregnet es\b",
        r"\bwat voor weer\b",
        r"\bhet weer in\b",
    ),
    "spät uhr laat": (r"\bwie spät ist\b", r"\bwie ?viel uhr\b", r"\bhoe laat is\b"),
    "gewonnen führt": (r"\bwer hat\b.*\bgewonnen\b", r"\bwer führt\b"),
    "kurs koers nieuws nachrichten": (
        r"\blaatste nieuws\b",
        r"\bkoers van\b",
        r"\b(?:bitcoin|euro|dollar) kurs\b",
        r"\bkurs (?:von|des|der|euro|dolara|franka)\b",
    ),
    # French
    "temps météo heure soir": (
        r"\bquel temps fait\b",
        r"\bmétéo (?:à|de|pour|du)\b",
        r"\bquelle heure est\b",
        r"\bce soir\b",
    ),
    "nouvelles infos actualités gagné cours": (
        r"\bdernières (?:nouvelles|infos|actualités)\b",
        r"\bqui a gagné (?:le|la) (?:match|course|finale|élection)\b",
        r"\bcours (?:du|de la|de) (?:dollar|euro|bitcoin|or)\b",
    ),
    # Spanish, Portuguese, Italian
    "tiempo tempo llover chover noche semana": (
        r"\bqué tiempo hace\b",
        r"\bva a llover\b",
        r"\besta (?:noche|semana)\b",
        r"\bcomo está o tempo\b",
        r"\bvai chover\b",
        r"\bche tempo fa\b",
    ),
    "hora horas ora ore": (r"\bqué hora es\b", r"\bque horas são\b", r"\bche or[ae] (?:sono|è)\b"),
    "noticias notícias notizie": (r"\búltimas not[ií]cias\b", r"\bultime notizie\b"),
    "ganó ganhou vinto": (
        r"\bquién ganó el (?:partido|juego)\b",
        r"\bquem ganhou o jogo\b",
        r"\bchi ha vinto la (?:partita|gara)\b",
    ),
    "precio cotización cotação quotazione": (
        r"\bprecio del? (?:oro|petróleo|dólar|bitcoin|gasolina)\b",
        r"\bcotización\b",
        r"\bcotação d[oa]\b",
        r"\bquotazione\b",
    ),
    # Polish
    "pogoda godzina wygrał": (
        r"\bjaka jest pogoda\b",
        r"\bpogoda w\b",
        r"\bktóra (?:jest )?godzina\b",
        r"\bkto wygrał mecz\b",
    ),
}
"""Phrases that ask for what soon changes, under the words without one of which none of them can occur."""

NOT_TIME_BOUND = (
    # about the word, or about a work with the word in its title
    r"\b(?:mean|means|meaning|translate|translation|opposite|synonym|antonym|tense|spell|pronounce|define|definition)\b",
    r"\b(?:idiom|lyrics|sang|directed|starred|plot of|hosted|composed|verbal|the phrase|the word|called$)\b",
    r"\bhow (?:do|would|can) (?:you|i|one) say\b",
    r"\bwho (?:wrote|invented|discovered|founded|painted)\b",
    r"\b(?:difference between|history of|ice age|the power of|last supper)\b",
    # how a thing works
    r"^(?:how|why) (?:do|does|did)\b.* work$",
    r"\bbased on$",
    r"\bhow (?:is|are) \w+ (?:\w+ )?(?:calculated|measured|made|computed)\b",
    # today as an age
    r"\b(?:than|from|unlike|still|used|found|exist|exists|known|alive)(?: \w+){0,2} today$",
    r"\btoday's (?:generation|youth|world|society|kids|children|life|parents|parental|women|men|teenagers)\b",
    # what the asker tells of himself, advice
    r"\bi(?:'m| am| have| own| work| do)?(?: \w+){0,2} (?:currently|recently)\b",
    r"^(?:currently|recently) i\b",
    r"\bcurrently (?:\w+ ){0,2}(?:living|working|studying|pursuing|doing|own|enrolled)\b",
    r"^(?:how|what) (?:can|could|should|would|do|might) (?:i|we|you)\b"
    r"(?!.*\b(?:weather|wear|traffic|news|commute)\b)",
    # a fixed time
    r"\b(?:1\d{3}|20[01]\d|d day)\b",
    # a text to write or to work on
    r"^(?:please )?(?:can you |could you )?(?:write|compose|draft|rewrite|proofread|paraphrase|imagine|pretend)\b"
    r"(?!.*\b(?:news|headlines|weather)\b)",
)
"""What keeps a prompt with such words or phrases from being time-bound."""

CODE_WORDS = frozenset(
    """
    python javascript typescript sql regex regexp json yaml html css git docker dockerfile kubernetes kubectl
    npm pip pandas numpy dataframe dataframes react nodejs bash php golang django flask fastapi postgresql mysql
    sqlite mongodb kotlin haskell jquery webpack eslint pytest junit tensorflow pytorch quicksort mergesort
    refactor compiler stacktrace traceback segfault div const async await nullpointerexception webhook api xml
    csv powershell terraform ansible linux makefile cmake gcc
    """.split()  # noqa: SIM905
)

RELEASES = r"\b(?:latest|newest|current) (?:\w+ ){0,2}(?:version|release|lts)\b"
"""A question about software, but the answer changes."""

CODE_TEXT = (
    r"```|`[^`\n]+`",
    r"^\s*(?:def|class|import|from|public|private|static|const|let|var|fn|func)\s+\w+.*[({:;=]",
    r"#include\s*<",
    r"\bSELECT\b.+\bFROM\b",
    r"\bfor\s*\(|\bfor \w+ in range\(|\w\(\)|=>|[{;]\s*$|</\w+>",
    r"\w(?:Error|Exception)\b",
    r"\b[Cc](?:\+\+|#)(?!\w)",
    r"\.(?:py|js|ts|cpp|java|rs|go|rb|php|sh)\b",
    r"\w_\w.*\bfunction\b|\bfunction\b.*\w_\w",
    r"\b[Ii]n (?:Go|Rust|Java|Swift|C|R|Ruby|Perl|Scala)\b(?!\w)",
    r"\b[Ss]egmentation fault\b|\b[Uu]nit tests?\b|\b[Tt]ime complexity\b",
    r"\b(?:[Ww]rite|[Ii]mplement|[Ff]ix|[Rr]efactor|[Dd]ebug|[Cc]reate) (?:a |an |the |this |my )?(?:\w+ )?"
    r"(?:function|method|class|script|query|program|regex|algorithm|binary search|endpoint|loop|code|bug)\b",
)
"""For the text as it is written."""

GREETINGS = frozenset(
    """
    hi hello hey hiya howdy yo greetings thanks thank thx cheers bye goodbye ok okay cool great yes no please
    sure nice lol haha morning night evening afternoon good sorry welcome wow you very much so there hallo danke
    schön bonjour salut merci hola gracias adiós olá obrigado obrigada ciao grazie dank dag cześć dziękuję dzień
    dobry guten tag moin hej buenos días bom dia buongiorno
    """.split()  # noqa: SIM905
)

CHAT = (
    r"^(?:(?:hi|hello|hey|hallo|hola|bonjour|ciao|olá|cześć) )*"
    r"(?:how are you|how're you|how is it going|how's it going|what's up|wie geht|wie geht's|ça va|comment ça va)\b",
    r"^(?:(?:hola|ciao|olá|cześć) )*(?:cómo estás|qué tal|come stai|tudo bem|hoe gaat het|jak się masz)\b",
    r"^(?:good (?:morning|night|evening|afternoon)|thanks|thank you|hi|hello|hey)\b(?: \w+){0,8}$",
    r"\btell me (?:a|another|some|an) (?:\w+ )?(?:joke|story|riddle|secret|jokes|fun fact)\b",
    r"^(?:please )?(?:can you |could you )?(?:write|compose|make up|sing|recite)(?: me)? (?:a|an|some) (?:\w+ ){0,2}"
    r"(?:poem|story|song|haiku|limerick|rhyme|rap|joke)\b",
    r"^(?:i am|i'm|im) (?:so |very |really |a bit |feeling )*"
    r"(?:bored|sad|happy|tired|lonely|angry|depressed|stressed|anxious)\b",
    r"^i (?:feel|love you|hate you|miss)\b",
    r"^you(?:'re| are) (?:so |very |really )*\w+$",
    r"^let's (?:play|talk|chat)\b",
    r"\b(?:what is|what's) your (?:name|age|favou?rite \w+|hobby|job)\b",
    r"^are you (?:a |an )?(?:\w+ )?(?:robot|human|real|bot|ai|alive|sentient|okay|there|sure|machine)\b",
    r"^who (?:made|created|built|are) you\b",
    r"^(?:do|can|would) you (?:like|love|have feelings|feel|believe|dream|remember me|want)\b",
    r"^what do you think\b|\bhow old are you\b|\bwhere do you (?:live|come from)\b|\bwhere are you from\b",
)
