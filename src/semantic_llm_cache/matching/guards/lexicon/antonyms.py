"""Opposites. Pairs end with ";"; "a b/c d" means every word left of the slash opposes every word right of it."""

from __future__ import annotations

from . import in_order

__all__ = ["ANTONYMS", "CJK_ANTONYMS", "DIRECTIONS", "PARTICLE_OPPOSITES", "PREFIX_SWAPS"]

ANTONYMS: dict[str, str] = {
    "en": """
        latitude/longitude; nominal/real; gross/net; pretax/posttax; systolic/diastolic; stack/heap; mitosis/meiosis;
        convex/concave; mean average/median mode; ventricle/atrium; kinetic/potential; stalactite/stalagmite;
        stalactites/stalagmites; monocot/dicot; alternating/direct; civil/criminal; prokaryote/eukaryote;
        prokaryotic/eukaryotic; warm/cold; wholesale/retail; fixed/variable floating; aerobic/anaerobic;
        extrinsic/intrinsic; extrinsically/intrinsically; formal/informal casual; primary/secondary tertiary;
        secondary/tertiary; merge join combine/split separate; mute/unmute; freeze/unfreeze; melting/boiling freezing;
        perks upsides/downsides; upside/downside; pause/cancel; suspend/resume; lighten/darken; ebb/flood;
        apogee/perigee; aphelion/perihelion; leading/lagging; solvent/solute; solvent/insolvent; anion/cation;
        anions/cations; oxidation/reduction; oxidize oxidise/reduce; catabolism/anabolism; catabolic/anabolic;
        afferent/efferent; afferents/efferents; sympathetic/parasympathetic; dorsal/ventral; anterior/posterior;
        proximal/distal; medial/lateral; benign/malignant; acute/chronic obtuse; flexion/extension; flexor/extensor;
        vasodilation/vasoconstriction; dilation/constriction; dilate/constrict; agonist/antagonist; supine/prone;
        symptomatic/asymptomatic; congenital/acquired; innate/learned acquired; genotype/phenotype; dominant/recessive;
        homozygous/heterozygous; diploid/haploid; transcription/translation; antigen/antibody; antigens/antibodies;
        vertebrate/invertebrate; vertebrates/invertebrates; herbivore/carnivore; herbivores/carnivores;
        deciduous/evergreen; annual/perennial; pollination/fertilization; nocturnal/diurnal; renewable/nonrenewable;
        igneous/sedimentary; sedimentary/metamorphic; weathering/erosion; crest/trough; reflection/refraction;
        real/imaginary virtual; rational/irrational; prime/composite; scalar/vector; discrete/continuous;
        linear/nonlinear; permutation/combination; permutations/combinations; union/intersection; domain/range;
        dependent/independent; parametric/nonparametric; correlation/causation; precision/recall; bias/variance;
        classification/regression; supervised/unsupervised; training/inference; overfitting/underfitting;
        encoder/decoder; precede/succeed; preceding/following; frontend/backend; compile/interpret;
        compiled/interpreted; compiler/interpreter; serialize/parse; push/pop pull; enqueue/dequeue; stack/queue;
        stateful/stateless; lossy/lossless; blocking/nonblocking; preorder/postorder;
        inorder/postorder preorder; eager/lazy; checked/unchecked; signed/unsigned; covariant/contravariant;
        covariance/contravariance; monolith/microservices; ingress/egress; whitelist allowlist/blacklist blocklist;
        authentication/authorization; commit/rollback; upvote/downvote; like/unlike; pin/unpin; star/unstar;
        archive/unarchive; register/unregister deregister; debit/credit; payable/receivable; payables/receivables;
        lessor/lessee; mortgagor/mortgagee; licensor/licensee; grantor/grantee; assignor/assignee;
        payer/payee; payor/payee; employer/contractor; trainer/trainee; interviewer/interviewee; nominal/effective;
        secured/unsecured; collateralized/uncollateralized; amortization/depreciation; put/call; long/short;
        bid/ask; bond/stock; bonds/stocks; principal/interest; dividend/divisor; recession/expansion;
        monopoly/monopsony; elastic/inelastic; microeconomics/macroeconomics; microeconomic/macroeconomic;
        import/export; tariff/subsidy; tax/subsidy; progressive/regressive; felony/misdemeanor; felonies/misdemeanors;
        libel/slander; acquit/convict; acquitted/convicted; bail/parole; parole/probation; appellant/respondent;
        tort/contract; emigrate/immigrate; emigration/immigration; emigrant/immigrant;
        emigrants/immigrants; matriarchy/patriarchy; monarchy/republic; monarchist/republican; coup/election;
        senate/house; capitalism/communism socialism; capitalist/communist socialist; secular/religious;
        sacred/profane; monotheism/polytheism; metaphor/simile; metaphors/similes; prologue/epilogue;
        prose/poetry verse;
        comedy/tragedy; vowel/consonant; vowels/consonants; synonym/antonym; synonyms/antonyms; transitive/intransitive;
        countable/uncountable; subject/object predicate; bass/treble; sharp/flat; staccato/legato; forte/piano;
        crescendo/decrescendo diminuendo; landscape/portrait; matte/glossy; serif/sans; knit/crochet; warp/weft;
        bake/fry grill; baked/fried boiled; boiled/fried; grilled/fried; still/sparkling; espresso/latte;
        starter appetizer/dessert; oviparous/viviparous; starboard/port; bow/stern; port/harbor; takeoff/landing;
        boarding/disembarking; embark/disembark; outbound/return inbound; direct/connecting indirect;
        checkin/checkout; login/logout; signup/unsubscribe;
        sunset/dawn sunrise; dawn/dusk; noon midday/midnight; solstice/equinox; waxing/waning; maternal/paternal;
        maternity/paternity; motherhood/fatherhood; stepfather/stepmother; grandfather/grandmother;
        grandson/granddaughter; widow/widower; heir/heiress; stallion/mare; rooster/hen; bull/cow; ram/ewe; hen/cock;
        gentleman/lady; gentlemen/ladies; waiter/waitress; host/hostess guest; masculine/feminine;
        masculinity/femininity;
        misogyny/misandry; monogamy/polygamy; monogamous/polygamous; engaged/divorced; adoptive/biological;
        mandatory compulsory required obligatory/optional voluntary; voluntary/involuntary; legitimate/illegitimate;
        partial/full total complete; incomplete/complete; temporary/permanent; refundable/nonrefundable;
        perishable/nonperishable; flammable/nonflammable fireproof; biodegradable/nonbiodegradable; soluble/insoluble;
        conductor/insulator; conductors/insulators; magnetic/nonmagnetic; opaque/transparent; translucent/opaque;
        ductile/brittle; porous/nonporous; viscous/runny; buoyant/sinking; sink/float; inflate/deflate;
        inflated/deflated; expand/contract collapse; expansion/contraction; stretch/shrink; tighten/loosen; zoom/pan;
        attract/repel; attraction/repulsion; cohesion/adhesion; absorb/emit reflect; absorption/emission;
        converge/diverge; convergent/divergent; convergence/divergence; centripetal/centrifugal; stable/unstable;
        friendly/hostile; generous/stingy; humble/arrogant; polite/rude; patient/impatient; lazy/diligent hardworking;
        calm/nervous anxious; bold/timid; honest/dishonest; loyal/disloyal; selfish/selfless; mature/immature;
        superficial/deep profound; rational/emotional; theoretical/practical; hypothetical/actual; ideal/actual;
        gain/loss; gains/losses; winner/loser; winners/losers; attacker/defender; hunter/prey; predator/prey;
        predators/prey; parasite/host; donor/recipient; giver/taker; speaker/listener; writer/reader; author/reader;
        producer/consumer; producers/consumers; manufacturer/retailer; vendor/customer; publisher/subscriber;
        candidate/recruiter; tenant/owner; amateur/professional; novice beginner/expert; junior/senior;
        freshman/senior; undergraduate/graduate postgraduate; bachelor/master doctorate; kindergarten/college;
        benefits advantages/risks dangers hazards; symmetric/asymmetric;
        ascending/descending; increase raise grow rise boost/decrease reduce lower shrink fall drop decline cut;
        gain/lose; buy purchase/sell; bought purchased/sold; buyer/seller; borrow/lend; borrower/lender;
        rent lease/own; landlord/tenant; debtor/creditor; employer/employee; teacher/student; doctor/patient;
        enable activate/disable deactivate; import/export; importer/exporter; encrypt/decrypt; encode/decode;
        compress/decompress extract; zip/unzip; upload/download; install/uninstall remove;
        subscribe/unsubscribe; follow/unfollow; block/unblock; mount/unmount; lock/unlock; load/unload;
        pack/unpack; tie/untie; wrap/unwrap; plug/unplug; connect/disconnect; attach/detach;
        assemble/disassemble; minimum min minimize minimise minimal/maximum max maximize maximise maximal;
        first/last final; oldest/newest youngest latest; earliest/latest; early/late; earlier/later;
        old/new young; older/newer younger; ancient/modern; open/close shut; opening/closing; opened/closed;
        start begin launch/stop end finish quit; beginning/ending end; resume/pause; push/pull;
        accept/reject refuse decline; approve/reject deny; allow permit/forbid prohibit prevent block ban;
        legal/illegal; safe/dangerous unsafe harmful; success/failure; succeed/fail; pass/fail; win/lose;
        winner/loser; victory/defeat; attack/defend; offense/defense; love like/hate dislike; friend/enemy;
        good/bad evil; best/worst; better/worse; pros advantages benefits/cons disadvantages drawbacks;
        advantage benefit/disadvantage drawback; positive/negative; right/left wrong; correct/incorrect wrong;
        true/false; yes/no; hot warm/cold cool; hottest warmest/coldest coolest; heat/cool; heating/cooling;
        heater/cooler; freeze/thaw melt; wet/dry; humid/arid; light/dark heavy; lightest/heaviest darkest;
        brighten/darken; bright/dim; day/night; sunrise/sunset; north/south; northern/southern; east/west;
        eastern/western; male/female; man/woman; men/women; boy/girl; boys/girls; guy/girl; husband/wife;
        boyfriend/girlfriend; father dad/mother mom mum; son/daughter; brother/sister; uncle/aunt; nephew/niece;
        king/queen; prince/princess; bride/groom; actor/actress; child kid children kids/adult adults;
        rich wealthy/poor; richest/poorest; cheap inexpensive affordable/expensive; cheapest/expensive priciest;
        fast quick/slow; faster quicker/slower; fastest quickest/slowest; accelerate/decelerate brake;
        strong/weak; strongest/weakest; stronger/weaker; strengthen/weaken; strength/weakness;
        hard difficult tough/easy simple soft; hardest toughest/easiest; harder/easier softer; soften/harden;
        big large huge/small little tiny; bigger larger/smaller; biggest largest/smallest;
        enlarge expand/shrink contract; long/short; longer/shorter; longest/shortest; lengthen/shorten;
        tall/short; taller/shorter; tallest/shortest; high/low; higher/lower; highest/lowest; deep/shallow;
        deepest/shallowest; wide broad/narrow; widen/narrow; thick/thin; thicker/thinner; thicken/thin;
        fat/thin skinny; full/empty; fill/empty drain; rough/smooth; sharp/blunt dull; tight/loose;
        tighten/loosen; simple/complex complicated; sweet/sour bitter; salty/sweet; raw/cooked;
        fresh/stale rotten; clean/dirty; happy glad/sad unhappy; happiest/saddest; optimist/pessimist;
        optimistic/pessimistic; brave/cowardly; introvert/extrovert; introverted/extroverted; public/private;
        domestic/foreign international; local/remote global; native/foreign; urban/rural; internal/external;
        inner/outer; inside/outside; indoor/outdoor; indoors/outdoors;
        shade shady/sun sunny sunlight sunshine; inbound incoming/outbound outgoing;
        input/output; entrance/exit; enter/leave exit; arrive/depart leave; arrival/departure;
        arrivals/departures; inhale/exhale; implicit/explicit; include/exclude; including/excluding;
        inclusive/exclusive; append/prepend; prefix/suffix; head/tail; header/footer; top/bottom; upper/lower;
        up/down; upstairs/downstairs; upgrade/downgrade; upstream/downstream; upward/downward;
        vertical/horizontal; row/column; rows/columns; parallel/serial perpendicular; front/back rear;
        forward/backward reverse; forwards/backwards; clockwise/counterclockwise anticlockwise; ahead/behind;
        near close/far; nearest closest/farthest furthest; present/absent; presence/absence; attendance/absence;
        visible/invisible hidden; show display/hide conceal; appear/disappear vanish;
        add/remove delete subtract; addition/subtraction; multiply/divide; multiplication/division; plus/minus;
        sum/difference; even/odd; odd/even; integer/float; numerator/denominator; integral/derivative;
        create make build/delete destroy; insert/delete remove; save/delete discard spend; keep/discard;
        read/write; reader/writer; serialize serialise/deserialize deserialise; lowercase/uppercase;
        synchronous sync/asynchronous async; static/dynamic; mutable/immutable; abstract/concrete;
        client/server; frontend/backend; front-end/back-end; sender/receiver recipient; send/receive;
        sent/received; lead/follow; leader/follower; teach/learn; cause/prevent; causes/cures treatments;
        cause/effect cure; supply/demand; income/expense; revenue/expense cost; profit/loss;
        profitable/unprofitable; deposit/withdraw; deposits/withdrawals; withdrawal/deposit; credit/debit;
        asset/liability; assets/liabilities; bull/bear; bullish/bearish; surplus/deficit shortage;
        inflation/deflation; appreciate/depreciate; wholesale/retail; hire/fire; hired/fired; birth/death;
        born/die; live/die; alive/dead; life/death; wake/sleep; awake/asleep; wife/husband; marry/divorce;
        married/divorced single unmarried; marriage/divorce; pregnant/nonpregnant; healthy/sick ill unhealthy;
        strict/lenient; guilty/innocent; guilt/innocence; prosecutor/defendant; plaintiff/defendant; war/peace;
        liberal/conservative; left-wing/right-wing; democrat democratic democrats/republican republicans;
        majority/minority; major/minor; superior/inferior; hero/villain; protagonist/antagonist; theist/atheist;
        heaven/hell; god/devil; virtue/vice; absolute/relative; objective/subjective; qualitative/quantitative;
        temporary/permanent; stationary/moving; solid/liquid; acid/base alkali; acidic/alkaline basic;
        anode/cathode; proton/electron; predator/prey; carnivore/herbivore; vegetarian/carnivore;
        endothermic/exothermic; artery/vein; arteries/veins; concave/convex; inductive/deductive;
        theory/practice; singular/plural; active/passive inactive; literal/figurative; fiction/nonfiction;
        ascend climb/descend; ascent/descent; ally/enemy; praise/criticize criticise; agree/disagree;
        agreement/disagreement; obey/disobey; respect/disrespect; trust/distrust mistrust; worth/worthless;
        overestimate/underestimate; overweight/underweight; overrated/underrated; common/rare uncommon;
        often frequently/rarely seldom; always/never; all every/none; everyone everybody/nobody;
        everything/nothing; something/nothing; many/few; most/fewest; maximum/minimum; prequel/sequel;
        predecessor/successor; ancestor/descendant; wide/narrow; permanently/temporarily;
        manual manually/automatic automatically; online/offline; wired/wireless; free/paid; virtual/physical;
        analog/digital; hardware/software; odds/evens; breakfast/dinner; lunch/dinner breakfast;
        vegetarian/meat; caffeinated/decaf decaffeinated
    """,
    "de": """
        zunehmen/abnehmen; öffne/schließe; beginnen anfangen/aufhören enden; heizen/kühlen; loben/tadeln;
        hoch/tief niedrig; hell/dunkel; hart/weich; nass/trocken; voll/leer; gesund/krank; tag/nacht; sommer/winter;
        aufsteigend/absteigend; erhöhen steigern vergrößern/senken verringern reduzieren verkleinern;
        kaufen/verkaufen; kauft/verkauft; aktivieren/deaktivieren; importieren/exportieren;
        verschlüsseln/entschlüsseln; hochladen/herunterladen runterladen; installieren/deinstallieren;
        öffnen/schließen; öffnet/schließt; starten/stoppen beenden; gut/schlecht; beste/schlechteste;
        besten/schlechtesten; besser/schlechter; vorteile/nachteile; vorteil/nachteil; groß/klein;
        größte/kleinste; größer/kleiner; größten/kleinsten; lang/kurz; hoch/niedrig tief;
        höchste/niedrigste tiefste; höchsten/niedrigsten tiefsten; heiß warm/kalt; schnell/langsam;
        schneller/langsamer; schnellste/langsamste; alt/neu jung; älteste/neueste jüngste; älter/jünger;
        erste/letzte; ersten/letzten; erster/letzter; früh/spät; mehr/weniger; viel/wenig; links/rechts;
        oben/unten; innen/außen; einatmen/ausatmen; legal/illegal; erlaubt/verboten; sicher/unsicher gefährlich;
        reich/arm; stark/schwach; einfach leicht/schwer schwierig; teuer/billig günstig;
        hinzufügen/entfernen löschen; einschalten anschalten/ausschalten abschalten; zunehmen/abnehmen;
        gewinnen/verlieren; gewinn/verlust; mann/frau; männer/frauen; maximum maximal/minimum minimal; vor/nach;
        nord/süd; norden/süden; osten/westen; leben/sterben; richtig/falsch;
        anmelden einloggen/abmelden ausloggen; sperren/entsperren; ein/aus
    """,
    "fr": """
        maigrir/grossir; perdre/prendre; allume/éteins éteint; ouvre/ferme;
        croissant/décroissant; augmenter/diminuer réduire baisser; acheter/vendre; achat/vente;
        activer/désactiver; importer/exporter; chiffrer crypter/déchiffrer décrypter; ouvrir/fermer;
        installer/désinstaller; ajouter/supprimer enlever retirer; avantages/inconvénients;
        avantage/inconvénient; bon/mauvais; bonne/mauvaise; meilleur/pire; meilleurs/pires; meilleure/pire;
        grand/petit; grande/petite; long/court; longue/courte; chaud/froid; rapide/lent; rapidement/lentement;
        vieux/jeune nouveau; premier/dernier; première/dernière; plus/moins; avant/après; gauche/droite;
        haut/bas; haute/basse; monter/descendre; gagner/perdre; riche/pauvre; fort/faible; facile/difficile;
        cher/bon-marché; légal/illégal; commencer/finir arrêter; allumer/éteindre; connecter/déconnecter;
        maximum/minimum; maximal/minimal; homme/femme; hommes/femmes; nord/sud; vrai/faux; prendre/perdre;
        dangereux/sûr
    """,
    "es": """
        abro abre abra/cierro cierra cierre; enciendo enciende/apago apaga; pierdo pierde/gano gana;
        compro compra/vendo vende; adelgazar/engordar; empiezo empieza/termino termina;
        ascendente/descendente; aumentar subir/disminuir reducir bajar; comprar/vender;
        activar habilitar/desactivar deshabilitar; importar/exportar; cifrar encriptar/descifrar desencriptar;
        subir/descargar bajar; abrir/cerrar; instalar/desinstalar; añadir agregar/eliminar quitar borrar;
        ventajas/desventajas; ventaja/desventaja; bueno buen/malo mal; mejor/peor; mejores/peores;
        grande/pequeño; largo/corto; alto/bajo; caliente/frío; rápido/lento; viejo/joven nuevo;
        primero primer/último; primera/última; más/menos; antes/después; izquierda/derecha; ganar/perder;
        rico/pobre; fuerte/débil; fácil/difícil; barato/caro; legal/ilegal; empezar comenzar/terminar acabar;
        encender/apagar; conectar/desconectar; máximo/mínimo; máxima/mínima; hombre/mujer; hombres/mujeres;
        norte/sur; verdadero/falso; bajar/subir; seguro/peligroso inseguro; entrar/salir
    """,
    "pt": """
        emagrecer/engordar; abro abre/fecho fecha; compro compra/vendo vende; ligo liga/desligo desliga;
        crescente ascendente/decrescente descendente; aumentar/diminuir reduzir; comprar/vender;
        ativar habilitar/desativar desabilitar; importar/exportar; criptografar/descriptografar; abrir/fechar;
        instalar/desinstalar; adicionar/remover excluir; vantagens/desvantagens; vantagem/desvantagem;
        bom/mau ruim; boa/má; melhor/pior; melhores/piores; grande/pequeno; longo/curto; alto/baixo;
        quente/frio; rápido/lento; velho/novo jovem; primeiro/último; primeira/última; mais/menos; antes/depois;
        esquerda/direita; ganhar/perder; rico/pobre; forte/fraco; fácil/difícil; barato/caro; legal/ilegal;
        começar/terminar parar; ligar/desligar; conectar/desconectar; máximo/mínimo; máxima/mínima;
        homem/mulher; homens/mulheres; norte/sul; subir/descer; entrar/sair; seguro/perigoso inseguro;
        enviar/receber
    """,
    "it": """
        apro apre/chiudo chiude; compro compra/vendo vende; accendo accende/spengo spegne; ingrassare/dimagrire;
        crescente/decrescente; aumentare/diminuire ridurre; comprare acquistare/vendere;
        attivare abilitare/disattivare disabilitare; importare/esportare; cifrare/decifrare; aprire/chiudere;
        installare/disinstallare; aggiungere/rimuovere eliminare; vantaggi/svantaggi; vantaggio/svantaggio;
        buono/cattivo; migliore/peggiore; migliori/peggiori; grande/piccolo; lungo/corto; alto/basso;
        caldo/freddo; veloce/lento; vecchio/giovane nuovo; primo/ultimo; prima/dopo; più/meno; sinistra/destra;
        vincere/perdere; ricco/povero; forte/debole; facile/difficile; economico/costoso; legale/illegale;
        iniziare/finire; accendere/spegnere; massimo/minimo; massima/minima; uomo/donna; uomini/donne; nord/sud;
        salire/scendere; sicuro/pericoloso; caricare/scaricare; entrare/uscire; ingrassare/dimagrire
    """,
    "nl": """
        dik/dun; licht/donker; hard/zacht; nat/droog; vol/leeg; gezond/ziek; toegestaan/verboden; dag/nacht;
        oplopend/aflopend; verhogen vergroten/verlagen verkleinen verminderen; kopen/verkopen;
        inschakelen aanzetten activeren/uitschakelen uitzetten deactiveren; importeren/exporteren;
        versleutelen/ontsleutelen; uploaden/downloaden; openen/sluiten; installeren/verwijderen;
        toevoegen/verwijderen; voordelen/nadelen; voordeel/nadeel; goed/slecht; beste/slechtste; beter/slechter;
        groot/klein; grootste/kleinste; lang/kort; hoog/laag; hoogste/laagste; warm heet/koud; snel/langzaam;
        oud/nieuw jong; eerste/laatste; meer/minder; voor/na; links/rechts; winnen/verliezen; rijk/arm;
        sterk/zwak; makkelijk/moeilijk; goedkoop/duur; legaal/illegaal; beginnen/stoppen;
        maximum maximale/minimum minimale; man/vrouw; mannen/vrouwen; noord/zuid; aan/uit; aankomen/afvallen;
        veilig/gevaarlijk onveilig
    """,
    "pl": """
        otwieram/zamykam; kupuję/sprzedaję; plusy/minusy; jasny/ciemny; zdrowy/chory; mokry/suchy;
        rosnąco rosnący rosnącej/malejąco malejący malejącej; zwiększyć zwiększać/zmniejszyć zmniejszać;
        kupić kupować/sprzedać sprzedawać; włączyć włączać/wyłączyć wyłączać; importować/eksportować;
        szyfrować zaszyfrować/odszyfrować deszyfrować; otworzyć otwierać/zamknąć zamykać;
        zainstalować/odinstalować; dodać dodawać/usunąć usuwać; zalety/wady; zaleta/wada; dobry/zły;
        najlepszy/najgorszy; najlepsze/najgorsze; lepszy/gorszy; duży/mały; największy/najmniejszy;
        największe/najmniejsze; długi/krótki; wysoki/niski; najwyższy/najniższy; najwyższa/najniższa;
        gorący ciepły/zimny; szybki/wolny; szybko/wolno; szybciej/wolniej; stary/nowy młody; pierwszy/ostatni;
        pierwsza/ostatnia; więcej/mniej; przed/po; lewo/prawo; wygrać/przegrać; bogaty/biedny; silny/słaby;
        łatwy/trudny; tani/drogi; legalny/nielegalny; zacząć/skończyć; mężczyzna/kobieta; mężczyźni/kobiety;
        przytyć/schudnąć; bezpieczny/niebezpieczny
    """,
    "ru": """
        включаю/выключаю; светлый/тёмный; сухой/мокрый; здоровый/больной; похудеть/потолстеть; разрешено/запрещено;
        возрастанию возрастания/убыванию убывания;
        увеличить увеличивать повысить/уменьшить уменьшать снизить понизить; купить покупать/продать продавать;
        включить включать/выключить выключать отключить; импортировать/экспортировать; импорт/экспорт;
        зашифровать шифровать/расшифровать дешифровать; открыть открывать/закрыть закрывать; установить/удалить;
        добавить/удалить; загрузить/скачать выгрузить; преимущества плюсы/недостатки минусы;
        хороший хорошо/плохой плохо; лучший лучшие/худший худшие; лучше/хуже; большой/маленький; больше/меньше;
        длинный/короткий; высокий/низкий; горячий/холодный; тёплый/холодный; быстрый быстро/медленный медленно;
        старый/новый молодой; первый/последний; первая/последняя; до/после; левый/правый; влево/вправо;
        выиграть/проиграть; богатый/бедный; сильный/слабый; легкий/трудный; дешёвый/дорогой; начать/закончить;
        мужчина/женщина; мужчины/женщины; максимальный максимум/минимальный минимум;
        поправиться набрать/похудеть сбросить; безопасно/опасно небезопасно; законно/незаконно; войти/выйти;
        север/юг
    """,
}

# Substrings, longest first within each reading; both sides of a pair in one text count as neither.
CJK_ANTONYMS: tuple[tuple[str, ...], ...] = tuple(
    tuple(pair.split("/"))
    for pair in in_order(
        "升序/降序 昇順/降順 增加/减少 提高/降低 增加/減少 増やす/減らす 増や/減ら "
        "買う/売る 购买/出售 买/卖 启用/禁用 有効/無効 打开/关闭 開く/閉じる "
        "開け/閉め 开启/关闭 "
        "导入/导出 进口/出口 輸入/輸出 インポート/エクスポート 加密/解密 暗号化/復号 上传/下载 "
        "アップロード/ダウンロード 安装/卸载 インストール/アンインストール 添加/删除 追加/削除 "
        "优点/缺点 优势/劣势 長所/短所 メリット/デメリット 最大/最小 最高/最低 最好/最差 "
        "最长/最短 最長/最短 最快/最慢 最初/最後 第一/最后 合法/非法 合法/違法 "
        "安全/危险 安全/危険 "
        "高い/低い 高い/安い 速い/遅い 左/右 男/女 增肥/减肥 太る/痩せる "
        "太/痩せ 登录/注销 ログイン/ログアウト 赢/输 勝つ/負ける 之前/之后 以前/以后 "
        "以前/以降 前に/後に "
        "成功/失败 热/冷 快/慢 暑い/寒い 南/北 入口/出口 最多/最少 "
        "更多/更少 大于/小于 多于/少于 多い/少ない 大きい/小さい 大きな/小さな 长期/短期 "
        "早餐/晚餐 前面/后面 買い/売り "
        "上げ/下げ 上がる/下がる 增/减 上升/下降 長/短 高/低 強/弱 "
        "强/弱 新/旧 重/轻 重い/軽い 明るい/暗い 好/坏 良い/悪い "
        "胖/瘦 開/閉 入れる/出す 入る/出る 始/終 "
        "开始/结束 接受/拒绝 允许/禁止 支持/反对 賛成/反対 送る/受け取る 发送/接收 "
    )
)

# Opposites of degree and place among the small words, kept apart from the antonyms: rule "direction".
DIRECTIONS: str = """
    more/less fewer; most/least fewest; greater/less lesser smaller; above/below beneath under;
    over/under below; before prior/after; until till/since; within/outside beyond; into/out;
    toward towards/away; up/down; upto/from; ascending/descending; maximum/minimum; ago/hence; plus/minus;
    exceed exceeding/below; increasing/decreasing
"""

# A verb followed by one of these: "log in" and "log out" are opposites though "in" and "out" often are not.
PARTICLE_OPPOSITES: dict[str, str] = {"in": "out", "out": "in", "on": "off", "off": "on", "up": "down", "down": "up"}

# Two words that are alike after these beginnings are opposites: upload/download, anschalten/ausschalten.
PREFIX_SWAPS: tuple[tuple[str, str], ...] = (
    ("up", "down"),
    ("over", "under"),
    ("in", "out"),
    ("in", "ex"),
    ("im", "ex"),
    ("im", "ex"),
    ("en", "de"),
    ("en", "dis"),
    ("in", "de"),
    ("hyper", "hypo"),
    ("pre", "post"),
    ("macro", "micro"),
    ("multi", "single"),
    ("homo", "hetero"),
    ("pro", "anti"),
    ("maxi", "mini"),
    ("inter", "intra"),
    ("auf", "ab"),
    ("an", "aus"),
    ("ein", "aus"),
    ("auf", "zu"),
    ("ver", "ent"),
    ("zu", "ab"),
    ("hoch", "herunter"),
    ("aan", "uit"),
    ("in", "uit"),
    ("op", "af"),
    ("при", "от"),
    ("в", "вы"),
    ("за", "рас"),
    ("za", "od"),
    ("w", "wy"),
    ("ac", "de"),
    ("pro", "eu"),
    ("endo", "exo"),
    ("ecto", "endo"),
    ("intra", "extra"),
    ("sub", "super"),
    ("supra", "infra"),
    ("uni", "bi"),
    ("mono", "poly"),
    ("mono", "di"),
    ("tachy", "brady"),
    ("ante", "post"),
    ("ex", "im"),
    ("syn", "a"),
    ("max", "min"),
    ("emi", "immi"),
)
