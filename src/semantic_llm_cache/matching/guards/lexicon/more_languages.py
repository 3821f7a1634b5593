"""Languages beyond the ten with full lists: function words, negations and numbers; and those without any list."""

from __future__ import annotations

from . import words

__all__ = [
    "MORE_FUNCTION_WORDS",
    "MORE_NEGATIONS",
    "MORE_NEGATIONS_TWICE",
    "SCRIPTS",
    "UNCOVERED",
    "UNCOVERED_LETTERS",
    "UNCOVERED_WORDS",
]

MORE_FUNCTION_WORDS: dict[str, frozenset[str]] = {
    lang: words(text)
    for lang, text in {
        "sv": "är det att och jag du han hon vi ni de inte på av för med hur vad vem var varför när vilken vilket "
        "vilka min mitt mina din ditt ska kan måste från eller ett en som har hade till om efter före mellan finns får "
        "många mycket bästa dricka",
        "da": "er det at og jeg du han hun vi de ikke på af for med hvordan hvad hvem hvor hvorfor hvornår hvilken "
        "hvilket hvilke min mit mine din dit skal kan må fra eller et en som har havde til om efter før mellem findes "
        "får mange meget bedste",
        "no": "er det å og jeg du han hun vi de ikke på av for med hvordan hva hvem hvor hvorfor når hvilken hvilket "
        "hvilke min mitt mine din ditt skal kan må fra eller et en som har hadde til om etter før mellom finnes får "
        "mange mye beste dette",
        "fi": "on ja ei en et minä sinä hän me te he mitä mikä miten kuka missä miksi milloin mistä mihin kuinka "
        "voinko voiko voin voit tämä tätä tässä se sen että jos kun kanssa ilman minun sinun oma ovat oli olla tai "
        "montako paljonko pitää saako saanko ennen jälkeen",
        "cs": "je jsou a i že se si na v ve do z ze s k pro jak co kdo kde proč kdy který která které můj moje mohu "
        "můžu může mám má být není nebo od po při kolik jaký jaká jaké tento tato toto tuto mezi bez",
        "sk": "je sú a že sa si na v vo do z zo s k pre ako čo kto kde prečo kedy ktorý ktorá ktoré môj moje môžem "
        "môže mám má byť nie alebo od po pri koľko aký aká aké tento táto toto túto medzi bez",
        "hu": "az egy és nem hogy mit mi ki hol miért mikor melyik hogyan mennyi hány van vannak ez ezt azt én te ő "
        "kell lehet ha vagy meg még már csak után előtt között nélkül ihatom legjobb milyen",
        "ro": "este sunt și să nu ce cine unde de când cum care cât câte câți pot poate trebuie am are un o al ale lui "
        "mea meu mele pe la din cu pentru fără sau între după înainte această acest acești mai",
        "id": "yang dan di ke dari untuk dengan apa apakah siapa bagaimana mengapa kenapa kapan mana berapa ini itu "
        "saya aku kamu anda dia kami kita mereka bisa dapat boleh tidak atau adalah ada akan harus pada dalam jika "
        "sudah belum cara lebih",
        "vi": "là và của có không tôi bạn cái này cho với được những các một người thế nào gì tại sao khi ở đâu "
        "bao nhiêu làm để trong từ đến hay hoặc nên phải",
        "ca": "és i què com qui quan quina quin quins quines per amb els les del dels al als un una no puc pot "
        "meu meva aquest aquesta aquests on perquè sense més però són ser fer entre molt quants quantes",
        "hr": "je su i da se na u od za kako što šta tko ko gdje gde zašto kada koji koja koje moj moja mogu može li "
        "imam ima biti nije ili po pri koliko ovaj ova ovo ovu između bez s sa iz do",
        "uk": "і й та що як хто де чому коли який яка яке які мій моя можу можна чи є це цю цей для від до з із у в на "
        "не або між скільки через після потрібно мені",
        "bg": "е са и да се на в от за как какво кой коя кое къде защо кога мой моя мога може ли имам има не или по "
        "при колко този тази това между без с със из до съм",
        "el": "είναι και το η ο οι τα την τον του της των στο στη στην στον με για από που πώς τι ποιος ποια ποιο "
        "πού γιατί πότε μου σου μπορώ μπορεί να θα δεν μην ένα μια αυτό αυτή ή πόσο πόσα πόσες",
        "he": "של את על אני אתה הוא היא זה זאת זו מה מי איך איפה למה מתי כמה האם יש אין לא עם אל כל או גם אם כי",
        "ar": "في من على إلى عن ما ماذا هل كيف متى أين لماذا كم هذا هذه ذلك التي الذي أن إن لا ليس مع أو هو هي أنا "
        "يمكن يمكنني كان بين غير",
        "ko": "이 그 저 것 수 무엇 어떻게 왜 언제 어디 누가 몇 있나요 있습니까 인가요 입니까 합니까 하나요 "
        "해야 대해 및 또는",
    }.items()
}

MORE_NEGATIONS: dict[str, frozenset[str]] = {
    lang: words(text)
    for lang, text in {
        "sv": "inte ej icke ingen inget inga utan aldrig ingenting varken",
        "da": "ikke ej ingen intet uden aldrig hverken",
        "no": "ikke ei ingen intet ingenting uten aldri verken",
        "fi": "ei en et emme ette eivät älä älkää ilman enkö etkö eikö emmekö ettekö eivätkö",
        "cs": "ne není nejsou nejsem nikdy nic nikdo žádný žádná žádné bez nelze nesmí nesmím nemá nemám",
        "sk": "nie nikdy nič nikto žiadny žiadna žiadne bez nesmie nesmiem nemá nemám",
        "hu": "nem ne sem nincs nincsenek nélkül soha semmi senki",
        "ro": "nu n fără niciodată nimic nimeni niciun nicio",
        "id": "tidak bukan jangan tanpa belum tak tiada nggak gak enggak",
        "vi": "không chưa chẳng đừng chớ",
        "ca": "no sense mai res ningú cap",
        "hr": "ne nije nisu nisam nisi nema nemam neću neće bez nikad nikada ništa nitko niko",
        "uk": "не ні без ніколи нічого ніхто немає нема",
        "bg": "не няма без никога нищо никой",
        "el": "δεν δε μη μην όχι χωρίς ποτέ τίποτα κανείς κανένας",
        "he": "לא אין בלי אל אינו אינה אינם אינן שלא ולא ללא אסור",
        "ar": "لا ليس ليست غير لم لن بدون دون ولا ألا ممنوع",
        "ko": "안 못",
    }.items()
}

# The second half of a double negative would count twice.
MORE_NEGATIONS_TWICE: dict[str, frozenset[str]] = {
    "cs": words("nikdy nic nikdo žádný žádná žádné"),
    "sk": words("nikdy nič nikto žiadny žiadna žiadne"),
    "hu": words("soha semmi senki"),
    "ro": words("niciodată nimic nimeni niciun nicio"),
    "ca": words("mai res ningú cap"),
    "hr": words("nikad nikada ništa nitko niko"),
    "uk": words("ніколи нічого ніхто"),
    "bg": words("никога нищо никой"),
    "el": words("ποτέ τίποτα κανείς κανένας"),
}

# First and last character of the scripts of languages without word lists, and the name to give in a reason.
SCRIPTS: tuple[tuple[str, str, str], ...] = (
    ("\u0530", "\u058f", "Armenian"),
    ("\u0700", "\u074f", "Syriac"),
    ("\u0780", "\u07bf", "Dhivehi"),
    ("\u0900", "\u097f", "Hindi"),
    ("\u0980", "\u09ff", "Bengali"),
    ("\u0a00", "\u0a7f", "Punjabi"),
    ("\u0a80", "\u0aff", "Gujarati"),
    ("\u0b00", "\u0b7f", "Odia"),
    ("\u0b80", "\u0bff", "Tamil"),
    ("\u0c00", "\u0c7f", "Telugu"),
    ("\u0c80", "\u0cff", "Kannada"),
    ("\u0d00", "\u0d7f", "Malayalam"),
    ("\u0d80", "\u0dff", "Sinhala"),
    ("\u0e00", "\u0e7f", "Thai"),
    ("\u0e80", "\u0eff", "Lao"),
    ("\u0f00", "\u0fff", "Tibetan"),
    ("\u1000", "\u109f", "Burmese"),
    ("\u10a0", "\u10ff", "Georgian"),
    ("\u1200", "\u139f", "Amharic"),
    ("\u13a0", "\u13ff", "Cherokee"),
    ("\u1780", "\u17ff", "Khmer"),
    ("\u1800", "\u18af", "Mongolian"),
)

UNCOVERED: dict[str, str] = {
    "tr": "Turkish", "sw": "Swahili", "tl": "Tagalog", "lt": "Lithuanian", "lv": "Latvian", "et": "Estonian",
    "sl": "Slovenian", "sq": "Albanian", "is": "Icelandic", "eu": "Basque", "cy": "Welsh", "ga": "Irish",
    "af": "Afrikaans", "fa": "Persian", "ur": "Urdu", "be": "Belarusian", "sr": "Serbian", "mk": "Macedonian",
    "kk": "Kazakh",
}  # fmt: skip
"""Languages that are recognised but have no lists, under their names."""

UNCOVERED_LETTERS: dict[str, str] = {
    letter: language
    for letters, language in (("ığ", "tr"), ("ėųį", "lt"), ("ķļņģ", "lv"), ("ðþ", "is"))
    for letter in letters
}
"""Latin letters that, of all languages here, one alone writes, and that language."""

UNCOVERED_WORDS: dict[str, frozenset[str]] = {
    lang: words(text)
    for lang, text in {
        "tr": "bir bu şu ve ile için mi mı mu mü ne nasıl neden niçin nerede hangi kaç kim çok daha en var yok değil "
        "ama gibi sonra önce olan olarak benim senin nedir midir kadar yapabilir iki üç dört beş altı yedi sekiz dokuz",
        "sw": "ya wa na ni kwa za la cha vya katika je nini gani vipi lini wapi nani hii hiyo haya ambayo kama lakini "
        "au sana yangu yako",
        "tl": "ang ng mga sa ay ko mo ako ikaw siya ito iyan ba bang paano ano bakit saan kailan sino hindi puwede "
        "pwede para kung at nang na",
        "lt": "ir yra kaip kas kur kodėl kada kuris kuri ar aš tu jis ji mano tavo iš į su be prie ne nuo iki gali "
        "galima reikia kiek šis ši",
        "lv": "ir un kā kas kur kāpēc kad kurš kura vai es tu viņš mans mana no uz ar bez pie nav var vajag cik šis šī",
        "et": "on ja ei kuidas mis kes kus miks millal milline kas ma sa ta minu sinu see seda et kui või saab võib "
        "tuleb palju pärast enne ilma",
        "sl": "je so in da se na v od za kako kaj kdo kje zakaj kdaj kateri katera moj moja lahko ali imam ni pri "
        "koliko ta to med brez iz",
        "sq": "është janë dhe të në për me nga si çfarë kush ku pse kur cili cila unë ti ai ajo im ime mund duhet nuk "
        "pa ose sa kjo ky një",
        "is": "er og að það ég þú hann hún við ekki á í af fyrir með hvernig hvað hver hvar hvers hvenær hvaða minn "
        "mín frá eða sem til um eftir",
        "eu": "da dira eta ez zer nola nor non zergatik noiz zein ni zu hau hori bat dut dute egin behar dago dira",
        "cy": "yw mae yn y yr a beth sut pwy ble pam pryd pa fy dy gan gyda neu nid ddim oes i o ar",
        "ga": "is tá an na agus cad conas cé cá cén mo do le nó ní níl bhfuil seo sin ar ag",
        "af": "is die en nie dat ek jy hy sy ons julle hulle hoe wat wie waar waarom wanneer watter my jou het van vir "
        "met op kan moet hierdie of",
    }.items()
}
