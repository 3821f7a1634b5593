"""Words that add nothing to a question, and words that tell the answerer how to answer. English first."""

from __future__ import annotations

from . import words
from .languages import CONTENTLESS

__all__ = [
    "ADVERBS",
    "ANSWERS",
    "ASKING",
    "COMMANDS",
    "FILLER",
    "LEADS",
    "MANNERS",
    "ORDINARY",
    "PHRASES",
    "PHRASE_WORDS",
    "STYLES",
    "WRITINGS",
]

FILLER = CONTENTLESS | words(
    # politeness and talk
    "hi hello hey dear greetings good morning afternoon evening day thanks thank thx ty cheers please pls plz "
    "kindly sorry excuse pardon regards kind best wishes warm sincerely bye advance much lot many team sir madam "
    "guys guy all everyone everybody folks friend friends mate buddy bro dude gpt chatgpt chatbot bot assistant ai "
    "quora google everyday anyone anybody someone somebody people person else request "
    # the asker's side of it
    "question questions query ask asking wonder wondering wondered curious know knows need needs want wants wanted "
    "like love looking look trying try tried help helping helps stuck confused unsure understand understanding "
    "learn learning find finding found figure idea ideas advice tips tip suggestion suggestions suggest recommend "
    "recommends recommendation recommendations info information details detail guide guidance tutorial steps step "
    "way ways method methods process procedure thing things something anything bother urgent urgently quick quickly "
    "asap homework hope happy see com appreciate appreciated grateful five new https http www concept phrase saying "
    "idiom exact specific particular "
    # fixing
    "fix fixing solve solving resolve problem problems issue issues trouble happens happen happening wrong work "
    "works "
    # degree and certainty
    "exactly actually really truly basically simply just even ever still yet already now currently today nowadays "
    "right maybe perhaps possibly probably properly correctly correct accurately easily easy easiest simple better "
    "approximately roughly about generally usually normally typically total overall possible able true mean means "
    "meaning called call word term definition define difference differ other each out up down off over again back "
    "here very too more most bit little own same such whats hows im ive id dont doesnt isnt go going take takes get "
    "gets got getting make makes making do use using used think thinking believe opinion favourite favorite not no "
    "yes okay ok well let's "
    # other languages
    "bitte danke hallo guten tag morgen vielen dank können sie mir sagen kannst du weiß wissen gerne ungefähr liebe "
    "grüße moin bonjour salut merci svp s'il plaît plait vous peux tu pouvez dire expliquer m'expliquer m explique "
    "bonsoir d'avance savoir avance beaucoup hola gracias favor buenos días buenas tardes puedes puede puedo "
    "explicar explicarme decir decirme saber me quiero ciao grazie prego buongiorno salve favore puoi spiegare "
    "spiegarmi dirmi sapere piacere olá oi obrigado obrigada bom dia boa tarde pode poderia dizer quero alstublieft "
    "alsjeblieft bedankt goedendag kunt kun zeggen uitleggen graag dzień dobry cześć proszę dziękuję witam czy mogę "
    "możesz powiedzieć wyjaśnić здравствуйте привет спасибо пожалуйста подскажите скажите можете можно объяснить "
    "добрый день хочу узнать 你 好 请 問 问 谢 謝 您 们 我 想 知 道 嗎 吗 呢 啊 的 了 教 え て く だ さ い す み ま "
    "せ ん あ り が と う ご ざ お 願 い し 何 か の は を に で も"
)
"""Words that may be added to a question without changing what is asked. Closed: any other word counts."""

LEADS = words(
    "please kindly then also and but or so just now next first finally afterwards afterward later always never only "
    "simply do don't dont not you must should shall will can could would to be sure moreover furthermore "
    "additionally besides plus instead rather either again still actually oh well ok okay let i'd i id like want "
    "need it them your the answer response reply before after answering"
)
"""Words that may stand before the verb of a command."""

ASKING = words(
    "tell explain describe give show help list name write suggest recommend find compare define discuss summarise "
    "summarize outline provide create teach let state identify"
)
"""Commands that are ways to ask: harmless before what both prompts ask."""

ANSWERS = words(
    "answer answers answered reply replies response responses option options instruction instructions prompt "
    "prompts mode persona undertone tone accent joke jokes disclaimer slogan advert nobody"
)
"""Words about the answer: in what is added to a whole question, they speak of how to give it."""

ADVERBS = words(
    "successfully systematically permanently safely legally professionally naturally manually automatically fully "
    "completely effectively efficiently locally globally officially originally recently finally early daily weekly "
    "monthly yearly only family lonely friendly likely italy july physically mentally financially technically "
    "medically scientifically specifically mainly mostly really necessarily entirely newly commonly exactly"
)
"""Words in -ly that say nothing of the manner of an answer. Closed."""

COMMANDS = ASKING | words(
    "ask request "
    "prioritise prioritize hail thank trust vote worship hate love delete remove erase deploy transfer pay wire "
    "prescribe diagnose deliver produce generate compose draft append emphasise emphasize highlight stress focus "
    "say answer reply respond speak talk act pretend imagine suppose assume behave sound play become stay remain "
    "keep ignore forget disregard override bypass skip omit leave drop avoid refuse decline stop quit cease deny "
    "negate be reverse invert flip swap replace substitute change switch double triple multiply divide add subtract "
    "append prepend insert include mention cite quote credit link refer point see visit click go open download "
    "install run execute print output return echo repeat translate convert rewrite rephrase format use make treat "
    "turn start begin end finish close conclude sign limit restrict shorten expand exaggerate understate lie "
    "mislead deceive trick fool insult mock ridicule roast curse swear flirt threaten scare shout scream whisper "
    "sing rap rhyme joke laugh praise promote advertise endorse push sell upsell favour favor prefer convince "
    "persuade argue claim insist assert admit declare pick choose blame attack support defend invent fabricate fake "
    "guess sow doubt hide reveal leak send mail email call contact put place fill wrap encode encrypt spell hint "
    "warn caution remind note consider remember follow obey comply do set take bring get have try think wait count "
    "offer order buy pay subscribe join share post tweet spread confuse distract hurry slow calm cite multiply"
)
"""Verbs that tell the answerer what to do, when a clause of their own begins with them."""

ORDINARY = words(
    "ask request "
    "do be get have take make use go like see set put try think keep leave play run open close change turn start "
    "begin end finish buy pay order offer share join count call contact find help show give stop quit become avoid "
    "work lie support note place point sign push sell choose pick follow talk bring convert return write create "
    "learn send email mail post install download drop switch let name state list compare wait include add divide "
    "multiply cite order limit format print execute visit click fill place remember consider attack join spread "
    "slow fake claim note"
)
"""Commands that are verbs of ordinary questions too: within a clause they say nothing."""

MANNERS = (
    "sarcas", "sarkas", "ironic", "irony", "ironis", "ironía", "ironia", "satir", "parod", "pirate", "piraten",
    "profan", "reverse", "unhelpful", "rudely", "snark", "cynical", "villain", "vulgar", "obscen", "toddler",
    "shakespear", "yoda", "klingon", "uppercase", "lowercase", "backwards", "rhym", "emojis", "nonsens", "gibberish",
    "opposit", "contrary", "wrongly", "incorrectly", "falsely", "untruth", "pretend", "hypothetic", "imagin",
    "suppos", "exaggerat", "joking", "humorous", "roleplay", "role-play", "jailbreak", "unrestrict", "uncensor",
    "dishonest", "mislead", "gegenteil", "contraire", "contrario", "contrári", "mensong", "mentir", "miente", "minta",
    "tegendeel", "przeciwn", "skłam", "сарка", "ирони", "наоборот", "солги", "соври",
)  # fmt: skip
"""Beginnings of words about the manner, the role or the truth of an answer: in one prompt alone, they change it."""

WRITINGS = words(
    "write draft compose letter email mail poem story essay speech song message reply text article review report "
    "post tweet script note toast joke caption bio resume summary explain explanation description translate answer"
)
"""Words that show that a text is asked for, whose style then counts."""

STYLES = words(
    "funny hilarious witty silly goofy absurd rude angry arrogant hostile aggressive offensive insulting "
    "threatening formal informal casual polite impolite romantic sexy flirty scary dark sad cheerful dramatic "
    "poetic ironic cheesy childish pompous sloppy boring sentimental passive cold cruel evil stupid dumb ridiculous "
    "biased false wrong fake misleading exaggerated negative positive pessimistic optimistic old-fashioned archaic "
    "slang bad terrible awful horrible lousy scathing harsh damning glowing flattering unflattering nasty "
    "devastating unfavourable unfavorable favourable favorable one-sided hateful dishonest untrue harmful malicious"
)
"""Words of style."""

PHRASES = (
    # anywhere
    r"\b(?:no matter what|answers only|from now on|"
    r"in the (?:voice|style|manner|tone|words) of|from the (?:point of view|"
    r"perspective|viewpoint) of|as a joke|as (?:a |an )?(?:pirate|poem|rap|song|haiku|limerick|tweet)|"
    r"(?:for|of|from|to) the (?:other|opposing|opposite) (?:party|side|team|camp)|on behalf of|"
    r"in (?:my|your|his|her|their|our) (?:favou?r|interests?)|in (?:the )?favou?r of|"
    r"without (?:using|mentioning|saying)|your (?:answer|reply|response)|the (?:answer|reply|response) "
    r"(?:must|should|has to)|i want you to|i would like you to|i'd like you to|(?:parallel|alternate) "
    r"(?:world|universe)|pip install|rm -rf|curl -|(?:make|made|making) (?:it|something|things|stuff|everything|that) "
    r"up|previous instructions|system prompt|developer mode|off by one)\b",
    # at the beginning of a clause
    r"(?:^|[.?!:;,(\[{] ?|\n)(?:(?:you are|you're|act as|acting as|speaking as|answering as|playing|"
    r"according to(?! you\b)|given that|knowing that|assuming) |in (?:one|two|three|four|\d+) (?:words?|letters?)\b|"
    r"(?:tone|style|mode|role|persona|format|system|admin|note|ps)[:=])",
    r"反话|皮肉|讽刺|嘘",
)
"""Patterns of the same kind, for what is in one prompt alone. The last one is for scripts without spaces."""

PHRASE_WORDS = words(
    "matter answers now voice style manner tone words point perspective viewpoint joke pirate poem rap song haiku "
    "limerick tweet party side team camp behalf favor favour interest interests using mentioning saying answer reply "
    "response want like world universe pip rm curl make made making instructions prompt mode off you act acting "
    "speaking answering playing according given knowing assuming word letter letters role persona format system admin "
    "note ps"
)
"""Whatever the other patterns match holds one of these."""
